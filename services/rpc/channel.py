"""How a process of ours calls another one."""

from collections.abc import Sequence
from typing import Any

import grpc


def open_channel(
    address: str, options: Sequence[tuple[str, Any]] | None = None, *, authorities: bytes = b""
) -> grpc.aio.Channel:
    """Returns a channel to `host:port`: TLS with whoever shows a certificate of these authorities (PEM).

    Without authorities it is plaintext, for loopback and for networks that encrypt by themselves.
    """
    if not authorities:
        return grpc.aio.insecure_channel(address, options=options)
    return grpc.aio.secure_channel(address, grpc.ssl_channel_credentials(authorities), options=options)
