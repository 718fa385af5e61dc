"""Channels between our processes: direct, even if the environment names a proxy."""

from collections.abc import Sequence
from typing import Any

import grpc

DIRECT = ("grpc.enable_http_proxy", 0)
"""Without it gRPC uses the proxy of `http_proxy` even for this machine."""


def open_channel(
    address: str, options: Sequence[tuple[str, Any]] = (), *, authorities: bytes = b""
) -> grpc.aio.Channel:
    """Returns a channel to `host:port`: TLS with a server that has a certificate of these authorities (PEM).

    Without authorities it is plaintext, for loopback and for networks that encrypt all traffic.
    """
    options = (*options, DIRECT)
    if not authorities:
        return grpc.aio.insecure_channel(address, options=options)
    return grpc.aio.secure_channel(address, grpc.ssl_channel_credentials(authorities), options=options)
