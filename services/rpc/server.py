"""Builds, starts and drains a gRPC server.

Order of a drain: health reports NOT_SERVING, a delay lets the balancers notice, no call is accepted any more and
endless streams end with UNAVAILABLE so that their clients resume elsewhere, running calls have a grace period, the rest
is cancelled.
"""

import asyncio
from collections.abc import Callable, Collection, Sequence
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from prometheus_client import CollectorRegistry

from services.cannot_listen import CannotListenError
from services.certificates.certificate_files import CertificateFiles
from services.errors import ServiceError
from services.rpc import auth
from services.rpc.admitted_calls import OpenStream
from services.rpc.concurrent_call_limits import CallLimits
from services.rpc.health import HealthService
from services.rpc.interceptor import CallInterceptor
from services.rpc.server_credentials import server_credentials
from services.rpc.telemetry import ServerMetrics

LIVENESS = "liveness"
"""Health service that does not follow `set_serving`: a process that waits for its database must not be restarted."""
MESSAGE_BYTES = 4 * 1024 * 1024
KEEPALIVE = (
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    # A client may ping this often; one that pings more is cut off with "too many pings".
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
)
PENDING_CALLS = 20_000
"""Calls that gRPC holds until we accept them, about 17 KB each. Beyond that it ends any caller's calls as CANCELLED, so
there is space for the calls of many connections."""
HANDSHAKE_MS = 20_000
"""Milliseconds that a connection may take until its HTTP/2 handshake is done."""

Registration = Callable[[grpc.aio.Server], None]
"""Adds a servicer: `lambda server: add_XServicer_to_server(servicer, server)`."""


class RpcServer:
    """A running server."""

    def __init__(
        self,
        server: grpc.aio.Server,
        port: int,
        services: Sequence[str],
        health: HealthService,
        calls: CallInterceptor,
    ) -> None:
        self.port = port
        """The port it listens on; the chosen one if 0 was asked for."""
        self._server = server
        self._services = services
        self._health = health
        self._calls = calls

    async def set_serving(self, serving: bool) -> None:
        """Sets whether health reports that calls are served. Without effect once the server drains."""
        for name in ("", *self._services):
            await self._health.set(name, serving=serving)

    def open_streams(self) -> list[OpenStream]:
        """Returns the open streams of callers with a key."""
        return self._calls.open_streams()

    def end_stream(self, stream: OpenStream, reason: ServiceError) -> None:
        """Ends a stream with an error; without effect if it has ended."""
        self._calls.end_stream(stream, reason)

    async def drain(self, grace_s: float, delay_s: float = 0.0) -> None:
        """Ends the server in the order that this module's docstring gives. A second call waits for the first."""
        await self._health.shut_down()
        await asyncio.sleep(delay_s)
        self._calls.end_streams()
        await self._server.stop(grace_s)

    async def wait(self) -> None:
        """Waits until the server has ended."""
        await self._server.wait_for_termination()


async def serve(
    listen: str,
    registrations: Sequence[Registration],
    *,
    services: Sequence[str],
    registry: CollectorRegistry,
    verify: auth.Verify | None,
    authorize: auth.Authorize | None = None,
    endless: Collection[str] = (),
    serving: bool = True,
    reflect: bool = False,
    tls: CertificateFiles | None = None,
    limits: CallLimits | None = None,
    check: Callable[[Any], None] | None = None,
    connection_age_s: float = 0.0,
) -> RpcServer:
    """Starts a server on `host:port`.

    `services` are the full names of what is registered, for health and reflection. `endless` are the methods,
    `/package.Service/Method`, whose streams have no end of their own. Without `verify` no call needs a key.
    `authorize` raises an error for a caller that may not call a method. `check` gets every message of a call with a
    key, and raises an error for a bad one. A connection of `connection_age_s` takes no more calls, so that its client
    looks for other servers; after as long again its open calls break off. 0: without a limit.

    Raises:
        CannotListenError: the address is in use, or not an address of this machine.
    """
    limits = limits or CallLimits()
    calls = CallInterceptor(
        ServerMetrics(registry), verify=verify, authorize=authorize, endless=endless, limits=limits, check=check
    )
    # No maximum_concurrent_rpcs: gRPC would also count calls without a key, and would refuse without a reason.
    server = grpc.aio.server(interceptors=[calls], options=_options(limits.connection_calls, connection_age_s))
    health = HealthService(("", LIVENESS, *services))
    health_pb2_grpc.add_HealthServicer_to_server(health, server)
    for register in registrations:
        register(server)
    if reflect:
        from grpc_reflection.v1alpha import reflection  # only here: 3 MB

        names = (*services, health_pb2.DESCRIPTOR.services_by_name["Health"].full_name, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, server)
    running = RpcServer(server, _listen(server, listen, tls), services, health, calls)
    await health.set(LIVENESS, serving=True)
    await running.set_serving(serving)
    await server.start()
    return running


def _options(connection_calls: int, connection_age_s: float) -> list[tuple[str, Any]]:
    age_ms = round(connection_age_s * 1000)
    ages = [("grpc.max_connection_age_ms", age_ms), ("grpc.max_connection_age_grace_ms", age_ms)]
    return [
        *(ages if age_ms else []),
        *KEEPALIVE,
        ("grpc.max_receive_message_length", MESSAGE_BYTES),
        ("grpc.max_send_message_length", MESSAGE_BYTES),
        # Two processes on one port would share its calls at random; instead the second one must fail to start.
        ("grpc.so_reuseport", 0),
        ("grpc.max_concurrent_streams", connection_calls),
        ("grpc.server.max_pending_requests", PENDING_CALLS),
        ("grpc.server.max_pending_requests_hard_limit", 2 * PENDING_CALLS),
        ("grpc.server_handshake_timeout_ms", HANDSHAKE_MS),
    ]


def _listen(server: grpc.aio.Server, address: str, tls: CertificateFiles | None) -> int:
    try:
        if tls is None:
            return server.add_insecure_port(address)
        return server.add_secure_port(address, server_credentials(tls))
    except RuntimeError as error:
        raise CannotListenError(
            f"cannot listen on {address}: it is in use, or not an address of this machine"
        ) from error
