"""A filter as a tree: conditions on fields, joined by AND, OR and NOT."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

Value = str | int | float | bool | datetime


@dataclass(frozen=True, slots=True)
class Condition:
    """A field compared with a value of the field's type."""

    field: str
    operator: str
    """One of `=`, `!=`, `<`, `<=`, `>`, `>=` and `:`, as far as the field takes it."""
    value: Value


@dataclass(frozen=True, slots=True)
class And:
    """All of these hold."""

    parts: "tuple[Node, ...]"


@dataclass(frozen=True, slots=True)
class Or:
    """At least one of these holds."""

    parts: "tuple[Node, ...]"


@dataclass(frozen=True, slots=True)
class Not:
    """This does not hold."""

    part: "Node"


Node = Condition | And | Or | Not


@dataclass(frozen=True, slots=True)
class Field:
    """What a filter may say of a field."""

    operators: tuple[str, ...]
    read: Callable[[str], Value]
    """Turns the text of a value into the value. Raises ValueError, whose text says what is allowed."""
