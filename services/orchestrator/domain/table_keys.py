"""What the keys of a table in an operator's file must be, with a check for each."""

from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from services.orchestrator.domain.toml_file import Place, Problem


@dataclass(frozen=True, slots=True)
class Key:
    """What a key of a table must be."""

    holds: Callable[[Any], bool]
    what: str
    """The same in words."""
    needed: bool = True


def whole(least: int, most: int, *, needed: bool = True) -> Key:
    """Returns a key for a whole number."""
    what = f"a whole number from {least} to {most}"
    return Key(lambda value: type(value) is int and least <= value <= most, what, needed)


def text(*, needed: bool = True) -> Key:
    """Returns a key for a text that is not empty."""
    return Key(lambda value: isinstance(value, str) and value.strip() != "", "a text that is not empty", needed)


def some(holds: Callable[[Any], bool], what: str, *, needed: bool = True) -> Key:
    """Returns a key for a list."""

    def all_hold(value: Any) -> bool:
        return isinstance(value, list) and value != [] and all(map(holds, value)) and len(set(value)) == len(value)

    return Key(all_hold, f"a list of {what}, at least one and none twice", needed)


def one_of(*words: str) -> tuple[Callable[[Any], bool], str]:
    """Returns a check for one of several words, and the words."""
    return lambda value: isinstance(value, str) and value in words, " or ".join(map(repr, words))


def day(*, needed: bool = True) -> Key:
    """Returns a key for a date."""
    return Key(lambda value: isinstance(value, date) and not isinstance(value, datetime), "a date", needed)


def _shown(value: Any) -> str:
    try:
        return repr(str(value)[:100])
    except RecursionError:
        return "a table of tables"


def check_table(
    what: str, at: Place, table: Mapping[str, Any], keys: Mapping[str, Key], demanded: Container[str] | None = None
) -> Iterator[Problem]:
    """Yields what is wrong with a table at a place of its file. `demanded`: keys whose absence matters; None: all."""
    for name in sorted(set(table) - set(keys)):
        yield Problem((*at, name), f"{what} has the key {name!r}; there are {', '.join(keys)}")
    for name, key in keys.items():
        if name not in table:
            if key.needed and (demanded is None or name in demanded):
                yield Problem(at, f"{what} lacks {name!r}; it is {key.what}")
        elif not key.holds(table[name]):
            yield Problem((*at, name), f"{what} has {name} = {_shown(table[name])}; it is {key.what}")
