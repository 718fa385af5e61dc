"""From the file of the plans to the plans: what its tables mean together."""

from collections.abc import Mapping
from typing import Any

from services.orchestrator.domain.catalog import Catalog
from services.orchestrator.domain.keep_rules import KeepRules
from services.orchestrator.domain.library_entry import Kind
from services.orchestrator.domain.limits.calendar import Per
from services.orchestrator.domain.limits.limit import Limit, Subject
from services.orchestrator.domain.limits.measure import KINDS, Jobs, Unit
from services.orchestrator.domain.plan import Plan
from services.orchestrator.domain.plan_keys import MS_PER_S, check_plan
from services.orchestrator.domain.toml_file import Place, Problem, UnusableTables

TRASH = "trash"
FILE_BYTES_MOST = 256 * 1024
"""The largest file of plans."""


def plans_of(parsed: Mapping[str, Any]) -> dict[str, Plan]:
    """Returns the plans of a file's tables. Raises UnusableTables: it names every wrong plan, key and value."""
    problems = [
        Problem((name,), f"there is no table {name!r}; the plans are in `plans`")
        for name in sorted(set(parsed) - {"plans"})
    ]
    tables = parsed.get("plans")
    if not isinstance(tables, dict) or not tables:
        tables = {}
        problems.append(Problem(("plans",), "there is no plan; each is a table such as [plans.standard]"))
    plans: dict[str, Plan] = {}
    for name, table in tables.items():
        if wrong := list(check_plan(name, table)):
            problems += wrong
            continue
        plans[name] = _plan(name, table)
        problems += _repeated_limits(plans[name])
    if problems:
        raise UnusableTables(problems)
    return plans


def unknown_names(plans: Mapping[str, Plan], catalog: Catalog) -> list[Problem]:
    """Returns the models, capabilities and resolutions of plans that no card has.

    They are no mistakes where the cards of another provider have them.
    """
    models = set(catalog.cards)
    capabilities = {card.remote.capability for card in catalog if card.remote is not None}
    resolutions = {name for card in catalog for name in card.resolutions}
    found: list[Problem] = []

    def look(at: Place, what: str, names: set[str], known: set[str]) -> None:
        found.extend(Problem(at, f"{what} {name!r}, which no card has") for name in sorted(names - known))

    for plan in plans.values():
        at, name = ("plans", plan.name), f"the plan {plan.name!r}"
        look((*at, "models"), f"{name} allows the model", set(plan.models or ()), models)
        look((*at, "resolutions"), f"{name} allows the resolution", set(plan.resolutions or ()), resolutions)
        for index, limit in enumerate(plan.limits):
            if isinstance(limit.measure, Jobs):
                here, what = (*at, "limits", index), f"limit {index + 1} of {name} counts the"
                look(here, f"{what} model", {limit.measure.model} - {""}, models)
                look(here, f"{what} capability", {limit.measure.capability} - {""}, capabilities)
    return found


def _plan(name: str, table: Mapping[str, Any]) -> Plan:
    values: dict[str, Any] = {"display_name": name, **table}
    for key in ("models", "operations", "resolutions"):
        if key in table:
            values[key] = frozenset(table[key])
    values["limits"] = tuple(_limit(each) for each in table.get("limits", ()))
    keep = table.get("keep", {})
    values["keep"] = KeepRules({Kind(key): days for key, days in keep.items() if key != TRASH}, keep.get(TRASH))
    return Plan(name=name, **values)


def _limit(table: Mapping[str, Any]) -> Limit:
    kind = KINDS[table["count"]]
    filters = {key: value for key, value in table.items() if key not in ("count", "for", "per", "most")}
    most = table["most"] * (MS_PER_S if kind.unit is Unit.MILLISECONDS else 1)
    return Limit(kind(**filters), Subject(table["for"]), Per(table.get("per", Per.AT_A_TIME)), most)


def _repeated_limits(plan: Plan) -> list[Problem]:
    first: dict[str, int] = {}
    problems: list[Problem] = []
    for index, limit in enumerate(plan.limits):
        if (earlier := first.setdefault(limit.key, index)) != index:
            what = f"limit {index + 1} of the plan {plan.name!r} repeats limit {earlier + 1}; keep one of them"
            problems.append(Problem(("plans", plan.name, "limits", index), what))
    return problems
