"""The fields of an event. Pure."""

from collections.abc import Mapping
from typing import Any

from services.reasons import HttpReason
from services.studio.refused_request import RefusedRequest


def demand_only(fields: Mapping[str, Any], *names: str) -> None:
    """Raises RefusedRequest for a field that an event does not have."""
    if unknown := sorted(set(fields) - set(names)):
        sentence = f"There is no field {unknown[0][:80]!r}; there are {', '.join(names)}."
        raise RefusedRequest(sentence, reason=HttpReason.FIELD_UNKNOWN, param=unknown[0][:80])


def size(value: object) -> int:
    """Returns the bytes of an event, or of a part of it: those of all its texts, which may be many."""
    if isinstance(value, str | bytes):
        return len(value)
    if isinstance(value, Mapping):
        return sum(size(name) + size(each) for name, each in value.items())
    return sum(map(size, value)) if isinstance(value, list | tuple) else 0
