"""Connections to the backends of our own machines: Tritons and the fake backend.

They need numpy and the libraries for video; a process that only answers callers does without.
"""

from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial

from services.certificates.certificate_files import CertificateFiles
from services.orchestrator.backends.fake_backend import FakeBackend
from services.orchestrator.backends.triton_backend import TritonBackend
from services.orchestrator.backends.triton_pool import TritonPool
from services.orchestrator.domain.card import ModelCard
from services.orchestrator.meters.connection_metrics import ConnectionMetrics
from services.orchestrator.ports.backend import Backend, Limits
from services.orchestrator.ports.slot_locks import SlotLocks
from services.orchestrator.settings import Settings


def connect_local_backends(
    settings: Settings,
    cards_of: Callable[[str], list[ModelCard]],
    stack: AsyncExitStack,
    certificates: CertificateFiles | None,
    metrics: ConnectionMetrics,
    locks: SlotLocks,
) -> dict[str, tuple[Backend, int | Limits]]:
    """Returns the local backends of the settings, each with its slots in this process.

    `cards_of` returns the cards that hold now of a backend. `certificates`: for TLS to Tritons; None: plaintext.
    `locks` are the slots of the Tritons.
    """

    def connect_triton(backend: str, address: str, target: str) -> TritonBackend:
        return TritonBackend(
            address,
            partial(cards_of, backend),
            marked=settings.pixel_mark,
            tls=certificates,
            target=target,
            meter=metrics.engines.of(backend, address),
            calls=metrics.calls,
        )

    backends: dict[str, tuple[Backend, int | Limits]] = {}
    for name, (targets, slots) in settings.tritons().items():
        if slots:
            connect = partial(connect_triton, name)
            pool = TritonPool(name, targets, connect, locks, metrics.tritons, slots=slots)
            stack.push_async_callback(pool.close)
            backends[name] = (pool, slots * len(targets))
    if settings.fake_slots:
        fake = FakeBackend(pause_s=settings.fake_pause_s, marked=settings.pixel_mark)
        backends["fake"] = (fake, settings.fake_slots)
    return backends
