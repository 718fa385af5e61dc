"""What a failed call to one of our own processes says, as tenants may see it."""

import logging

import grpc

from services.rpc.status import from_call

FULL = "Concurrent RPC limit exceeded!"
"""What gRPC says, as RESOURCE_EXHAUSTED, of a call that it does not let through to the process. Generate itself is
never RESOURCE_EXHAUSTED, but something on the way to it may be, at any time."""

log = logging.getLogger(__name__)


def said(error: grpc.aio.AioRpcError, otherwise: str) -> str:
    """Returns the process's own words, or `otherwise` where gRPC speaks: that names addresses, and is logged alone."""
    failure = from_call(error)
    if failure.reason:
        return failure.message
    log.warning("a call failed", extra={"code": failure.code.name, "details": failure.message})
    return otherwise
