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


def size(arguments: tuple[Any, ...]) -> int:
    """Returns the bytes of an event, as far as they are many."""
    fields = arguments[0] if arguments and isinstance(arguments[0], dict) else {}
    return sum(len(value) for value in fields.values() if isinstance(value, str | bytes))
