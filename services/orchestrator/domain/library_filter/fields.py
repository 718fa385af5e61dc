"""The fields that a filter can name, with their operators and values."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal

from services.orchestrator.domain.library_entry import Kind
from services.orchestrator.domain.library_filter.tree import Field

SAME = ("=", "!=")
ORDER = (*SAME, "<", "<=", ">", ">=")
BIGINT_MOST = 2**63 - 1


def _text(text: str) -> str:
    return text


def _kind(text: str) -> str:
    if text.lower() not in set(Kind):
        raise ValueError("is one of " + ", ".join(Kind))
    return text.lower()


def _flag(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError("is true or false")
    return text.lower() == "true"


def _whole(text: str) -> int:
    if not re.fullmatch(r"-?[0-9]{1,19}", text) or abs(int(text)) > BIGINT_MOST:
        raise ValueError("is a whole number")
    return int(text)


def _scaled(unit: str, factor: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,6})?" + unit, text):
            raise ValueError("is a number such as 2.5" + ("s" if unit else ""))
        return int(Decimal(text.rstrip("s")) * factor)

    return read


def _moment(text: str) -> datetime:
    try:
        # Python also takes dates in other forms; a time needs all its digits here.
        if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9:.]{8,15}(Z|[+-][0-9]{2}:[0-9]{2})?)?", text):
            raise ValueError
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError("is a date such as 2026-11-30 or 2026-11-30T12:00:00Z") from None


FIELDS: Mapping[str, Field] = {
    "type": Field(SAME, _kind),
    "source_module": Field(SAME, _text),
    "tags": Field((":", *SAME), _text),
    "favorite": Field(SAME, _flag),
    "rating": Field(ORDER, _whole),
    "model": Field(SAME, _text),
    "operation": Field(SAME, _text),
    "seed": Field(ORDER, _whole),
    "job": Field(SAME, _text),
    "collection": Field(SAME, _text),
    "size_bytes": Field(ORDER, _whole),
    "duration": Field(ORDER, _scaled("s?", 1000)),
    "cost": Field(ORDER, _scaled("", 1_000_000)),
    "create_time": Field(ORDER, _moment),
    "update_time": Field(ORDER, _moment),
}
"""Durations are milliseconds in the tree, costs are millionths."""

ALIASES: Mapping[str, str] = {"kind": "type", "tag": "tags"}
