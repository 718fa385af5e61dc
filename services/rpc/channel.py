"""Channels between our processes: direct, even if the environment names a proxy."""

from collections.abc import Sequence
from typing import Any

import grpc

from services.certificates.certificate_files import CertificateFiles
from services.rpc.client_metrics import ClientMetrics
from services.rpc.counted_channel import CountedChannel
from services.rpc.rotating_channel import RotatingChannel
from services.rpc.traced_channel import TracedChannel
from services.tracing import spans

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
    if tls is None:
        channel = grpc.aio.insecure_channel(address, options=options)
    else:
        channel = RotatingChannel(address, options, tls)
    if metrics is not None:
        channel = CountedChannel(channel, metrics)
    return TracedChannel(channel) if spans.is_on() else channel
