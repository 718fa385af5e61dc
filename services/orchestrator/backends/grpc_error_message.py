"""Messages of failed calls to our own processes, in a form that tenants may see."""

import logging

import grpc

from services.reasons import CallReason
from services.rpc.status_codes import from_call

FULL = "Concurrent RPC limit exceeded!"
"""gRPC's own message, with RESOURCE_EXHAUSTED, for a call that it does not pass on to the process."""
FULL_REASONS = frozenset({CallReason.CALLS_LIMIT_REACHED, CallReason.TENANT_CALLS_LIMIT_REACHED})

log = logging.getLogger(__name__)


def is_full(error: grpc.aio.AioRpcError) -> bool:
    """Whether the process, or gRPC in its place, refused a call beyond a limit: the call did not reach its method.

    A method itself, or a proxy on the way to it, may also answer RESOURCE_EXHAUSTED, at any time.
    """
    if error.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED:
        return False
    return error.details() == FULL or from_call(error).reason in FULL_REASONS


def message_of(error: grpc.aio.AioRpcError, otherwise: str) -> str:
    """Returns the process's own message, or `otherwise` for one of gRPC: that has addresses, and is only logged."""
    failure = from_call(error)
    if failure.reason:
        return failure.message
    log.warning("a call failed", extra={"code": failure.code.name, "cause": failure.message})
    return otherwise
