"""The channel to the servers: its options, the caller's credentials, and calls that are repeated until answered."""

import asyncio
import re
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, TypeVar

import grpc

from i2v_client import proxy
from i2v_client.caller_channel import CallerChannel
from i2v_client.connections import Connections
from i2v_client.errors import Unreachable, error_of
from i2v_client.failure import Failure
from i2v_client.retry import RetryPolicy, messages
from i2v_client.server_address import addresses, target
from i2v_client.server_address import options as balancing
from i2v_client.tls_files import TlsSource

PRINTABLE = re.compile(r"[ -~]+")
USER_CHARACTERS = 128
USER_DEFAULT = "default"
OPTIONS = (
    # A server that hangs is detected before the deadline of a call. It allows a ping every 10 s. Two options set the
    # time limit of the answer, because otherwise gRPC waits for a minute.
    ("grpc.keepalive_time_ms", 11_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.ping_timeout_ms", 10_000),
    ("grpc.max_receive_message_length", 4 * 1024 * 1024),
    # By default gRPC reconnects after one second, and then with a back-off of up to two minutes. But a replica that is
    # back must be found before the next one stops.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 2_000),  # the time limit of one try
    ("grpc.max_reconnect_backoff_ms", 500),
    # After a lost connection gRPC looks the name up again, by default at most once in 30 s.
    ("grpc.dns_min_time_between_resolutions_ms", 2_000),
)

Request = TypeVar("Request")
Response = TypeVar("Response")


class ServiceChannel:
    """A channel for one user. `open` comes first, `close` last."""

    def __init__(
        self,
        address: str,
        key: str,
        user: str,
        *,
        tls: bool | TlsSource,
        retry_for_s: float,
        timeout_s: float,
    ) -> None:
        """See `Client` for the parameters. Raises ValueError for an invalid address, key or user's name."""
        if not PRINTABLE.fullmatch(key):
            raise ValueError("the key is empty, or has other than printable ASCII characters")
        if not PRINTABLE.fullmatch(user) or len(user) > USER_CHARACTERS:
            raise ValueError(f"the user's name is 1 to {USER_CHARACTERS} printable ASCII characters")
        self.retry_for_s = retry_for_s
        self._address = address
        self._addresses = addresses(address)
        self._user = user
        self._tls = tls
        self._timeout_s = timeout_s
        # The server's default is left out: a token in place of a key may name the user.
        named = () if user == USER_DEFAULT else (("i2v-user", user),)
        self._metadata = (("authorization", f"Bearer {key}"), *named)

    def __repr__(self) -> str:
        return f"{self._address!r}, user={self._user!r}"

    async def open(self) -> None:
        """Opens the channel, `grpc`. Raises Unreachable if the name of no server is known."""
        try:
            where = await asyncio.to_thread(target, self._addresses)
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or str(error)
            raise Unreachable(Failure(grpc.StatusCode.UNAVAILABLE, why)) from error
        options = (*OPTIONS, *proxy.options(self._address), *balancing(self._addresses, tls=bool(self._tls)))
        self.grpc: grpc.aio.Channel = CallerChannel(Connections(where, options, self._tls))

    async def close(self) -> None:
        """Closes the channel; calls that are open end."""
        await self.grpc.close()

    def is_connected(self) -> bool:
        """Returns whether there is a connection to a server now."""
        return self.grpc.get_state() is grpc.ChannelConnectivity.READY

    async def call(self, method: grpc.aio.UnaryUnaryMultiCallable[Request, Response], request: Request) -> Response:
        """Makes a call until it is answered. Raises I2VError."""
        return await self._until_answered(lambda: method(request, metadata=self._metadata, timeout=self._timeout_s))

    async def upload(
        self,
        method: grpc.aio.StreamUnaryMultiCallable[Request, Response],
        requests: Callable[[], AsyncGenerator[Request, None]],
    ) -> Response:
        """Makes a call with a stream of requests, from the first one each time, until answered. Raises I2VError."""
        return await self._until_answered(lambda: method(requests(), metadata=self._metadata))

    async def upload_once(
        self,
        method: grpc.aio.StreamUnaryMultiCallable[Request, Response],
        requests: AsyncGenerator[Request, None],
    ) -> Response:
        """Makes a call with a stream of requests; the caller repeats it. Raises I2VError."""
        try:
            return await method(requests, metadata=self._metadata)
        except grpc.aio.AioRpcError as error:
            raise error_of(error) from error

    def stream(
        self, method: grpc.aio.UnaryStreamMultiCallable[Request, Response], request: Request
    ) -> AsyncGenerator[Response, None]:
        """Yields the responses of one call; the caller repeats it. Raises I2VError."""
        call: Any = method(request, metadata=self._metadata)
        return messages(call)

    async def _until_answered(self, call: Callable[[], Awaitable[Response]]) -> Response:
        retry = RetryPolicy(self.retry_for_s)
        while True:
            try:
                return await call()
            except grpc.aio.AioRpcError as cause:
                error = error_of(cause)
                if not isinstance(error, Unreachable):
                    raise error from cause
                await retry.wait(error)
