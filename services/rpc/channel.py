"""Channels between our processes: direct, even if the environment names a proxy."""

from collections.abc import Sequence
from typing import Any

import grpc

from services.certificates.certificate_files import CertificateFiles
from services.rpc.client_metrics import ClientMetrics
from services.rpc.counted_channel import CountedChannel
from services.rpc.rotating_channel import RotatingChannel

DIRECT = ("grpc.enable_http_proxy", 0)
"""Without it gRPC uses the proxy of `http_proxy` even for this machine."""


def open_channel(
    address: str,
    options: Sequence[tuple[str, Any]] = (),
    *,
    tls: CertificateFiles | None = None,
    metrics: ClientMetrics | None = None,
) -> grpc.aio.Channel:
    """Returns a channel to `host:port`: TLS with a server that has a certificate of the files' authorities.

    If the files have a certificate, it is shown to the server. Without `tls` the channel is plaintext, for loopback and
    for networks that encrypt all traffic. `metrics` count its calls.
    """
    options = (*options, DIRECT)
    channel = (
        grpc.aio.insecure_channel(address, options=options) if tls is None else RotatingChannel(address, options, tls)
    )
    return channel if metrics is None else CountedChannel(channel, metrics)
