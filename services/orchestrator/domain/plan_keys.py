"""The keys of a plan and of its limits in `plans.toml`, with a check for each."""

import dataclasses
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from services.orchestrator.domain import spec
from services.orchestrator.domain.library_entry import Kind
from services.orchestrator.domain.limits.calendar import Per
from services.orchestrator.domain.limits.limit import AMOUNT_MOST, Subject
from services.orchestrator.domain.limits.measure import KINDS, StoredBytes, Unit
from services.orchestrator.domain.table_keys import Key, check_table, one_of, some, text, whole
from services.orchestrator.domain.toml_file import Place, Problem

PLAN_NAME = re.compile(r"[A-Za-z0-9._-]{1,128}")
WORD = re.compile(r"[A-Za-z0-9._-]{1,128}")
"""A model, a capability or a resolution."""
LIMITS_MOST = 50
"""Limits of one plan. An admission takes a counter for each."""
PERIODS = (Per.DAY.value, Per.MONTH.value, Per.ANNIVERSARY.value)
MS_PER_S = 1000


def _is_word(value: Any) -> bool:
    return isinstance(value, str) and WORD.fullmatch(value) is not None


def _are_limits(value: Any) -> bool:
    return isinstance(value, list) and len(value) <= LIMITS_MOST and all(isinstance(each, dict) for each in value)


def _allowed(holds: Callable[[Any], bool], what: str) -> Key:
    listed = some(holds, what, needed=False)
    return dataclasses.replace(listed, what=f"{listed.what}; leave it out to allow all")


PLAN_KEYS: Mapping[str, Key] = {
    "display_name": text(needed=False),
    "priority": whole(0, 100, needed=False),
    "weight": whole(1, 100, needed=False),
    "models": _allowed(_is_word, "models"),
    "operations": _allowed(*one_of(*spec.KINDS)),
    "resolutions": _allowed(_is_word, "words such as '720p' or '224x128'"),
    "price_most_micros": whole(0, AMOUNT_MOST, needed=False),
    "keep": Key(lambda value: isinstance(value, dict), "a table such as { video = 90, trash = 7 }", needed=False),
    "limits": Key(_are_limits, f"a list of at most {LIMITS_MOST} tables", needed=False),
}
"""Every key of a plan."""
KEEP_DAYS_MOST = 36_500
KEEP_KEYS: Mapping[str, Key] = {
    name: whole(1, KEEP_DAYS_MOST, needed=False) for name in (*(kind.value for kind in Kind), "trash")
}
"""Days that a plan keeps assets of a kind, and what is in the trash."""
A_WORD = Key(_is_word, "a name of letters, digits, dots, dashes and underscores", needed=False)
FILTERS: Mapping[str, Key] = {"operation": Key(*one_of(*spec.KINDS), needed=False)}
"""Fields of measures, each of which restricts one to a part of the jobs; all others are words."""
REPLACED = {
    "tenant_budget_micros": 'count = "spend", for = "tenant", per = "month"',
    "user_budget_micros": 'count = "spend", for = "user", per = "month"',
    "tenant_active_jobs": 'count = "unfinished", for = "tenant"',
    "user_active_jobs": 'count = "unfinished", for = "user"',
}
"""Keys of earlier versions, and the limit that replaces each."""


def check_plan(name: str, table: Any) -> Iterator[Problem]:
    """Yields what is wrong with a plan's keys, and with those of its limits."""
    at: Place = ("plans", name)
    plan = f"the plan {name!r}"
    if not PLAN_NAME.fullmatch(name):
        yield Problem(at, f"{plan} needs another name: 1 to 128 letters, digits, dots, dashes, underscores")
        return
    if not isinstance(table, dict):
        yield Problem(at, f"{plan} is no table")
        return
    for key in sorted(set(table) & set(REPLACED)):
        instead = f"{{ {REPLACED[key]}, most = {str(table[key])[:20]} }}"
        yield Problem((*at, key), f"{plan} has the key {key!r} of an earlier version; write in its limits: {instead}")
    current = {key: value for key, value in table.items() if key not in REPLACED}
    yield from check_table(plan, at, current, PLAN_KEYS)
    if isinstance(table.get("keep"), dict):
        yield from check_table(f"`keep` of {plan}", (*at, "keep"), table["keep"], KEEP_KEYS)
    if _are_limits(table.get("limits")):
        for index, limit in enumerate(table["limits"]):
            yield from _check_limit(f"limit {index + 1} of {plan}", (*at, "limits", index), limit)


def _check_limit(what: str, at: Place, table: dict[str, Any]) -> Iterator[Problem]:
    keys: dict[str, Key] = {"count": Key(*one_of(*KINDS))}
    measure = KINDS.get(table["count"]) if isinstance(table.get("count"), str) else None
    if measure is None:
        yield from check_table(what, at, {"count": table["count"]} if "count" in table else {}, keys)
        return
    if dataclasses.is_dataclass(measure):
        keys |= {each.name: FILTERS.get(each.name, A_WORD) for each in dataclasses.fields(measure)}
    keyless = measure is StoredBytes  # assets belong to users
    keys["for"] = Key(*one_of(*(each.value for each in Subject if not (keyless and each is Subject.KEY))))
    if not measure.at_a_time:
        keys["per"] = Key(*one_of(*PERIODS))
    elif "per" in table:
        yield Problem((*at, "per"), f"{what} counts what exists at the same time; leave `per` out")
        table = {name: value for name, value in table.items() if name != "per"}
    keys["most"] = whole(0, AMOUNT_MOST // MS_PER_S if measure.unit is Unit.MILLISECONDS else AMOUNT_MOST)
    yield from check_table(what, at, table, keys)
