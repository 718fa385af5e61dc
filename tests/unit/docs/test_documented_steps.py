"""The page of plans: its steps are found, and its table has what the file of plans has."""

import re
import tomllib

import pytest

from tests.support.documented_commands import ROOT, commands
from tests.support.documented_steps import Step, steps, without_steps

PAGE = (ROOT / "docs/plans.md").read_text()
PLANS = tomllib.loads((ROOT / "deploy/config/plans.toml").read_text())["plans"]


def test_the_steps_are_found_and_are_not_run_as_single_commands() -> None:
    found = steps(PAGE)
    assert len(found) > 12
    assert sum(bool(step.printed) for step in found) > 10
    assert [step.code for step in found if step.code] == [3, 3, 6, 6]
    assert "studio-key" not in without_steps(PAGE)
    assert [each for each in commands() if "studio-key" in each.text] == []


@pytest.mark.parametrize(
    ("output", "missing"),
    [("one of 2\nthree 3", ""), ("three 3\none of 2", "three"), ("one\nthree", "one … 2"), ("", "one … 2")],
)
def test_what_a_step_prints_is_compared_in_order(output: str, missing: str) -> None:
    assert Step("true", ("one … 2", "three")).missing(output) == missing


@pytest.mark.parametrize("plan", PLANS)
def test_the_table_has_the_numbers_of_the_plan(plan: str) -> None:
    row = next(line for line in PAGE.splitlines() if line.startswith(f"| `{plan}` |"))
    numbers = {int(each.replace(",", "")) for each in re.findall(r"\d[\d,]*(?!\.)\b", row.replace("0.50", ""))}
    amounts = {each["most"] // (1_000_000 if each["count"] == "spend" else 1) for each in PLANS[plan]["limits"]}
    assert numbers == amounts - {0} | {PLANS[plan].get("priority", 0), PLANS[plan].get("weight", 1)}
