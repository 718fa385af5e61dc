"""Connections to the backends of our own machines: Tritons and the fake backend.

They need numpy and the libraries for video; a process that only answers callers does without.
"""

from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial

from services.certificates.certificate_files import CertificateFiles
from services.orchestrator.backends.fake_backend import FakeBackend
from services.orchestrator.backends.triton_backend import TritonBackend
from services.orchestrator.domain.card import ModelCard
from services.orchestrator.meters.connection_metrics import ConnectionMetrics
from services.orchestrator.ports.backend import Backend, Limits
from services.orchestrator.settings import Settings


def connect_local_backends(
    settings: Settings,
    cards_of: Callable[[str], list[ModelCard]],
    stack: AsyncExitStack,
    certificates: CertificateFiles | None,
    metrics: ConnectionMetrics,
) -> dict[str, tuple[Backend, int | Limits]]:
    """Returns the local backends of the settings, each with its slots in this process.

    `cards_of` returns the cards that hold now of a backend. `certificates`: for TLS to Tritons; None: plaintext.
    """
    backends: dict[str, tuple[Backend, int | Limits]] = {}
    for name, (address, slots) in settings.tritons().items():
        if slots:
            triton = TritonBackend(
                address,
                partial(cards_of, name),
                marked=settings.pixel_mark,
                tls=certificates,
                meter=metrics.engines.of(name),
                calls=metrics.calls,
            )
            stack.push_async_callback(triton.close)
            backends[name] = (triton, slots)
    if settings.fake_slots:
        fake = FakeBackend(pause_s=settings.fake_pause_s, marked=settings.pixel_mark)
        backends["fake"] = (fake, settings.fake_slots)
    return backends
