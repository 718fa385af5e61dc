"""The files of the catalog and of the plans: their texts, and what these mean together."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from services.orchestrator.domain.catalog import Catalog, successor_problems
from services.orchestrator.domain.plan import Plan
from services.orchestrator.domain.plan_parser import FILE_BYTES_MOST, plans_of
from services.orchestrator.domain.toml_file import UnusableTables, decoded, tables_of
from services.settings import BadSetting

T = TypeVar("T")
Contents = Mapping[Path, bytes]
"""The bytes of files, in the order in which they are read."""


@dataclass(frozen=True, slots=True)
class CatalogFiles:
    """The model cards: those of a file, and those in a folder whose backend is one of the providers."""

    models_file: Path
    remote_models: Path
    providers: Collection[str]
    prompt_most_micros: int | None
    """The most that writing a prompt may cost; None: there is no prompt writer."""

    def read(self) -> Contents:
        """Returns the bytes of the files. Raises BadSetting."""
        remote = sorted(self.remote_models.glob("*.toml")) if self.providers else []
        return {file: _bytes(file) for file in (self.models_file, *remote)}

    def load(self) -> Catalog:
        """Returns the catalog of the files as they are. Raises BadSetting."""
        return self.parse(self.read())

    def parse(self, contents: Contents) -> Catalog:
        """Returns the catalog. Raises BadSetting: it names the file and the line of what cannot be used."""
        cards = dict(_parsed(self.models_file, contents, Catalog.from_toml).cards)
        every = {self.models_file: dict(cards)}
        for file in list(contents)[1:]:
            found = _parsed(file, contents, Catalog.from_toml)
            if twice := sorted(set(cards) & set(found.cards)):
                raise BadSetting(f"{file} cannot be used: there is a card {twice[0]!r} already")
            cards |= {card.id: card for card in found if card.backend in self.providers}
            every[file] = dict(found.cards)
        known = {name for own in every.values() for name in own}
        for file, own in every.items():
            if problems := successor_problems(own, known):
                raise _unusable(file, UnusableTables(problems), contents[file].decode())
        return Catalog(cards, self.prompt_most_micros)


@dataclass(frozen=True, slots=True)
class PlansFile:
    """The plans."""

    file: Path

    def read(self) -> Contents:
        """Returns the bytes of the file. Raises BadSetting."""
        return {self.file: _bytes(self.file)}

    def load(self) -> Mapping[str, Plan]:
        """Returns the plans of the file as it is. Raises BadSetting."""
        return self.parse(self.read())

    def parse(self, contents: Contents) -> Mapping[str, Plan]:
        """Returns the plans by name. Raises BadSetting: it names the line of what cannot be used."""
        if len(contents[self.file]) > FILE_BYTES_MOST:
            raise BadSetting(f"{self.file} cannot be used: it has more than {FILE_BYTES_MOST} bytes")
        return _parsed(self.file, contents, plans_of)


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise BadSetting(f"{file} cannot be read: {error.strerror}") from error


def _parsed(file: Path, contents: Contents, build: Callable[[dict[str, Any]], T]) -> T:
    text = ""
    try:
        text = decoded(contents[file])
        return build(tables_of(text))
    except UnusableTables as error:
        raise _unusable(file, error, text) from error


def _unusable(file: Path, error: UnusableTables, text: str) -> BadSetting:
    return BadSetting(f"{file} cannot be used: {error.located(text)}")
