"""Reads the files of the catalog and of the plans."""

import tomllib
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, TypeVar

from services.orchestrator.domain.catalog import Catalog, demand_successors
from services.orchestrator.domain.plan import Plan, plans_from_toml
from services.settings import BadSetting

T = TypeVar("T")


def read_catalog(
    models_file: Path, remote_models: Path, providers: Collection[str], prompt_most_micros: int | None
) -> Catalog:
    """Reads the model cards: those of the file, and those in the folder whose backend is one of the providers.

    `prompt_most_micros` is the most that writing a prompt may cost; None: there is no prompt writer. Raises BadSetting.
    """
    cards = dict(_read(models_file, Catalog.from_toml).cards)
    every = dict(cards)
    for file in sorted(remote_models.glob("*.toml")) if providers else ():
        found = _read(file, Catalog.from_toml)
        if twice := sorted(set(cards) & set(found.cards)):
            raise BadSetting(f"{file} cannot be used: there is a card {twice[0]!r} already")
        cards |= {card.id: card for card in found if card.backend in providers}
        every |= found.cards
    try:
        demand_successors(every)
    except ValueError as error:
        raise BadSetting(f"the cards cannot be used: {error}") from error
    return Catalog(cards, prompt_most_micros)


def read_plans(file: Path) -> dict[str, Plan]:
    """Reads the plans. Raises BadSetting."""
    return _read(file, plans_from_toml)


def _read(path: Path, build: Callable[[dict[str, Any]], T]) -> T:
    try:
        return build(tomllib.loads(path.read_text()))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise BadSetting(f"{path} cannot be read: {error}") from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        what = f"lacks {error}" if isinstance(error, KeyError) else str(error)
        raise BadSetting(f"{path} cannot be used: {what}") from error
