"""Channels between our processes: direct, even if the environment names a proxy."""

from collections.abc import Callable, Sequence
from typing import Any, cast

import grpc

from services.rpc.rotating_certificate import Pair, RotatingCertificate

DIRECT = ("grpc.enable_http_proxy", 0)
"""Without it gRPC uses the proxy of `http_proxy` even for this machine."""


def open_channel(
    address: str,
    options: Sequence[tuple[str, Any]] = (),
    *,
    authorities: bytes = b"",
    certificate: RotatingCertificate | None = None,
) -> grpc.aio.Channel:
    """Returns a channel to `host:port`: TLS with a server that has a certificate of these authorities (PEM).

    `certificate` is shown to the server. Without authorities the channel is plaintext, for loopback and for networks
    that encrypt all traffic. Raises OSError if the files of the certificate cannot be read.
    """
    options = (*options, DIRECT)
    if not authorities:
        return grpc.aio.insecure_channel(address, options=options)
    if certificate is None:
        return grpc.aio.secure_channel(address, grpc.ssl_channel_credentials(authorities), options=options)

    def showing(pair: Pair) -> grpc.aio.Channel:
        return grpc.aio.secure_channel(address, grpc.ssl_channel_credentials(authorities, *pair), options=options)

    return cast("grpc.aio.Channel", _RenewedChannel(showing, certificate))


class _RenewedChannel:
    """A channel that is opened again when its certificate was replaced. Calls that are open keep the one before."""

    def __init__(self, showing: Callable[[Pair], grpc.aio.Channel], certificate: RotatingCertificate) -> None:
        self._showing = showing
        self._certificate = certificate
        self._opened = [showing(certificate.pair())]
        """All of them: certificates are replaced every few weeks, and an idle channel costs little."""

    def current(self) -> grpc.aio.Channel:
        """Returns the channel with the newest certificate."""
        pair = self._certificate.replaced()
        if pair is not None:
            self._opened.append(self._showing(pair))
        return self._opened[-1]

    def unary_unary(self, *arguments: Any, **options: Any) -> "_Method":
        return _Method(lambda: self.current().unary_unary(*arguments, **options))

    def unary_stream(self, *arguments: Any, **options: Any) -> "_Method":
        return _Method(lambda: self.current().unary_stream(*arguments, **options))

    def stream_unary(self, *arguments: Any, **options: Any) -> "_Method":
        return _Method(lambda: self.current().stream_unary(*arguments, **options))

    def stream_stream(self, *arguments: Any, **options: Any) -> "_Method":
        return _Method(lambda: self.current().stream_stream(*arguments, **options))

    async def close(self, grace: float | None = None) -> None:
        for each in self._opened:
            await each.close(grace)

    async def __aenter__(self) -> "_RenewedChannel":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


class _Method:
    """A method of whichever channel is current at a call."""

    def __init__(self, of_current: Callable[[], Any]) -> None:
        self._of_current = of_current

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        return self._of_current()(*arguments, **options)
