"""Connections to what makes videos and writes prompts: Tritons, providers, the fake backend and the prompt writer."""

from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from functools import partial
from typing import NamedTuple

from services.certificates.certificate_files import CertificateFiles
from services.live_secret import LiveSecret
from services.orchestrator.backends.provider_backend import ProviderBackend
from services.orchestrator.backends.remote_prompt_writer import RemotePromptWriter
from services.orchestrator.domain.card import ModelCard
from services.orchestrator.domain.catalog import Catalog
from services.orchestrator.meters.connection_metrics import ConnectionMetrics
from services.orchestrator.ports.backend import Backend, Limits
from services.orchestrator.ports.slot_locks import SlotLocks
from services.orchestrator.settings import Settings
from services.orchestrator.store.slot_locks import PostgresSlotLocks

Backends = Mapping[str, tuple[Backend, int | Limits]]
"""Backends by name, each with its slots in this process or the limits of its account. Of a SharedBackend, the slots are
those at the start."""


class BackendTls(NamedTuple):
    """What the connections need for TLS; None: plaintext."""

    providers: CertificateFiles | None
    triton: CertificateFiles | None


def open_slot_locks(database_url: str, stack: AsyncExitStack) -> SlotLocks:
    """Returns the slots of the servers that the workers of one database share."""
    locks = PostgresSlotLocks(database_url)
    stack.push_async_callback(locks.close)
    return locks


def connect_backends(
    settings: Settings,
    catalog: Callable[[], Catalog],
    stack: AsyncExitStack,
    tls: BackendTls,
    metrics: ConnectionMetrics,
    locks: SlotLocks | None,
) -> Backends:
    """Returns the backends of the settings. Without `locks`, only vendors, for their availability.

    `catalog` returns the one that holds now: a backend is checked against its cards.
    """

    def cards_of(backend: str) -> list[ModelCard]:
        return [card for card in catalog() if card.backend == backend]

    def models_of(backend: str) -> set[str]:
        return {card.remote.model for card in cards_of(backend) if card.remote is not None}

    provider_key = _provider_key(settings)
    backends: dict[str, tuple[Backend, int | Limits]] = {}
    if locks is not None:
        from services.orchestrator.local_backends import connect_local_backends  # with numpy and FFmpeg: 30 MB

        backends |= connect_local_backends(settings, cards_of, stack, tls.triton, metrics, locks)
    for name, (address, limits) in settings.vendors().items():
        vendor = ProviderBackend(
            address,
            provider_key,
            vendor=name,
            models=partial(models_of, name),
            tls=tls.providers,
            calls=metrics.calls,
        )
        stack.push_async_callback(vendor.close)
        backends[name] = (vendor, limits)
    return backends


def connect_prompt_writer(
    settings: Settings, stack: AsyncExitStack, tls: BackendTls, metrics: ConnectionMetrics
) -> RemotePromptWriter | None:
    """Returns the prompt writer of the settings, None without one."""
    if not settings.prompt_writer:
        return None
    writer = RemotePromptWriter(settings.prompt_writer, _provider_key(settings), tls=tls.providers, calls=metrics.calls)
    stack.push_async_callback(writer.close)
    return writer


def _provider_key(settings: Settings) -> Callable[[], str]:
    return LiveSecret("I2V_PROVIDER_KEY_FILE", settings.provider_key_file).text
