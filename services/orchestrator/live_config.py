"""The model cards and the plans that hold now. New versions of their files replace them while the process runs.

A new version is parsed completely before it holds. One that cannot be used is reported, and the old one stays.
"""

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import suppress
from typing import Generic, Protocol, TypeVar

from services.orchestrator.catalog_files import Contents
from services.orchestrator.domain.catalog import Catalog
from services.orchestrator.domain.plan import Plan
from services.orchestrator.domain.plan_parser import unknown_names
from services.settings import BadSetting

log = logging.getLogger(__name__)
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
UNREADABLE = "unreadable"
"""Stands for the digest of files that cannot be read."""


class Source(Protocol[T_co]):
    """Files, and what they mean together."""

    def read(self) -> Contents:
        """Returns the bytes of the files. Raises BadSetting."""

    def parse(self, contents: Contents) -> T_co:
        """Returns what they mean. Raises BadSetting."""


class ConfigMeter(Protocol):
    """Metrics of the files."""

    def config_loaded(self, config: str, version: str) -> None:
        """A version holds now."""

    def config_refused(self, config: str) -> None:
        """A new version cannot be used; the old one still holds."""


class LiveFiles(Generic[T]):
    """One set of files, and the newest version of it that can be used."""

    def __init__(self, name: str, source: Source[T], meter: ConfigMeter) -> None:
        """Reads the first version. Raises BadSetting. `name` is for logs and metrics."""
        self._name, self._source, self._meter = name, source, meter
        contents = source.read()
        self.value = source.parse(contents)
        self._holds = self._seen = _digest(contents)
        self._refused = ""
        meter.config_loaded(name, self._holds)

    def refresh(self, *, at_once: bool) -> bool:
        """Takes a new version if there is one that can be used, and returns whether it did.

        Without `at_once`, only files that are the same as at the last look are taken: others may be half written.
        """
        try:
            found: Contents | BadSetting = self._source.read()
        except BadSetting as error:
            found = error
        digest = UNREADABLE if isinstance(found, BadSetting) else _digest(found)
        changed, self._seen = digest != self._seen, digest
        if not at_once and (changed or digest == self._refused):
            return False
        if digest == self._holds:
            if self._refused:  # the old version is back
                self._refused = ""
                self._meter.config_loaded(self._name, digest)
            return False
        try:
            if isinstance(found, BadSetting):
                raise found
            value = self._source.parse(found)
        except BadSetting as error:
            self._refused = digest
            self._meter.config_refused(self._name)
            log.error(
                "a new version of the configuration cannot be used; the old one stays",
                extra={"config": self._name, "cause": str(error)},
            )
            return False
        self.value, self._holds, self._refused = value, digest, ""
        self._meter.config_loaded(self._name, digest)
        log.info("a new version of the configuration holds", extra={"config": self._name, "version": digest})
        return True


class LivePlans(Mapping[str, Plan]):
    """The plans that hold now, by name."""

    def __init__(self, files: LiveFiles[Mapping[str, Plan]]) -> None:
        self._files = files

    def __getitem__(self, name: str) -> Plan:
        return self._files.value[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._files.value)

    def __len__(self) -> int:
        return len(self._files.value)


class LiveConfig:
    """The model cards and the plans of one process."""

    def __init__(self, cards: Source[Catalog], plans: Source[Mapping[str, Plan]], meter: ConfigMeter) -> None:
        """Reads the first versions. Raises BadSetting."""
        self._cards = LiveFiles("cards", cards, meter)
        self._plans = LiveFiles("plans", plans, meter)
        self._asked = asyncio.Event()
        self.plans = LivePlans(self._plans)

    def catalog(self) -> Catalog:
        """Returns the current catalog. It does not change: a caller that needs one state keeps it."""
        return self._cards.value

    def reload(self) -> None:
        """Makes `watch` look at the files at once."""
        self._asked.set()

    async def watch(self, every_s: float, report: Callable[[], Awaitable[None]]) -> None:
        """Looks at the files periodically until cancelled. Calls `report` at first, and after each change."""
        changed = True
        while True:
            try:
                if changed:
                    self._warn()
                    await report()
                changed = await self._next_change(every_s)
            except Exception:
                log.exception("the check of the configuration failed")  # the old versions stay
                changed = False

    async def _next_change(self, every_s: float) -> bool:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._asked.wait(), every_s)
        at_once = self._asked.is_set()
        self._asked.clear()
        cards = await asyncio.to_thread(self._cards.refresh, at_once=at_once)
        return await asyncio.to_thread(self._plans.refresh, at_once=at_once) or cards

    def _warn(self) -> None:
        for problem in unknown_names(self.plans, self.catalog()):
            log.warning("a plan names what no card has", extra={"cause": problem.what})


async def no_report() -> None:
    """Reports nothing."""


def _digest(contents: Contents) -> str:
    """Returns a digest of the files' names and bytes. Kubernetes replaces links, so their times say nothing."""
    digest = hashlib.sha256()
    for file, data in contents.items():
        digest.update(f"{file}\0{len(data)}\0".encode() + data)
    return digest.hexdigest()[:12]
