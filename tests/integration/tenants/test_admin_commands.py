"""The commands of `i2v admin`, as an operator types them, against a real server."""

import json
from pathlib import Path

import pytest

from tests.integration.tenants.conftest import FIRST_OPERATOR
from tests.support.client_command import Command
from tests.support.served_orchestrator import Served

WHY = ("--reason", "a test")


@pytest.fixture
def command(i2v: Served, tmp_path: Path) -> Command:
    return Command(i2v.address, tmp_path)


async def ran(command: Command, *arguments: str, key: str = FIRST_OPERATOR, code: int = 0) -> str:
    ended = await command(*arguments, key=key)
    assert ended.code == code, (arguments, ended.out, ended.err)
    return ended.out if code == 0 else ended.err


async def test_an_operator_runs_a_tenant_from_its_creation_to_its_deletion(i2v: Served, command: Command) -> None:
    created = await ran(command, "admin", "tenants", "create", "new", "--plan", "test", *WHY)
    assert "new" in created and "active" in created and "UTC" in created
    made = await ran(command, "admin", "keys", "create", "web", "--tenant", "new", "--scope", "usage", *WHY)
    (text,) = made.splitlines()
    listed = await ran(command, "admin", "keys", "list", "--tenant", "new")
    key = next(word for word in listed.split() if word.startswith("tenants/new/keys/"))
    assert "Plan test" in await ran(command, "usage", key=text)
    assert "scope read" in await ran(command, "jobs", key=text, code=6)
    assert "web" in listed
    limit = ("new", "user spend month", "--of-user", "ann")
    for most, shown in (("0", "none"), ("unlimited", "unlimited"), ("7", "7 micros")):
        assert f" {shown} " in await ran(command, "admin", "limits", "set", *limit[:2], most, *limit[2:], *WHY)
    assert "user ann" in await ran(command, "admin", "limits", "list", "new")
    assert "plan's limit" in await ran(command, "admin", "limits", "unset", *limit, *WHY)
    assert "1.500000 USD is left" in await ran(command, "admin", "credit", "new", "0.5", *WHY)
    assert "1.250000 USD is left" in await ran(command, "admin", "debit", "new", "0.25", *WHY)
    assert "Nothing was booked" in await ran(command, "admin", "debit", "new", "5", *WHY, code=3)
    planned = await ran(command, "admin", "tenants", "set-plan", "new", "poor", "--at-period-end", *WHY)
    assert "poor from" in planned
    rotated = (await ran(command, "admin", "keys", "rotate", key, "--overlap", "1h", *WHY)).strip()
    assert rotated.startswith("i2v_") and "Plan test" in await ran(command, "usage", key=rotated)
    assert key in await ran(command, "admin", "keys", "revoke", key, *WHY)
    assert "revoked" in await ran(command, "usage", key=text, code=6)
    output = await ran(command, "admin", "tenants", "delete", "new", "--dry-run")
    assert "1 keys are revoked." in output and "active" in output
    assert "deleted" in await ran(command, "admin", "tenants", "delete", "new", *WHY)
    logged = await ran(command, "admin", "log", "--tenant", "new", "--json")
    entries = [json.loads(line) for line in logged.splitlines()]
    assert [entry["action"] for entry in reversed(entries)] == [
        *(
            "CreateTenant",
            "CreateKey",
            "SetLimit",
            "SetLimit",
            "SetLimit",
            "UnsetLimit",
            "BookCredit",
            "BookCredit",
            "BookCredit",
        ),
        *("SetTenantPlan", "RotateKey", "RevokeKey", "DeleteTenant"),
    ]
    assert [entry["outcome"] for entry in entries if entry["outcome"] != "DONE"] == ["DEBIT_TOO_LARGE"]


async def test_suspending_and_the_calendar_and_operators(i2v: Served, command: Command) -> None:
    assert "go on and are charged" in await ran(command, "admin", "tenants", "suspend", "studio", "--dry-run")
    assert "suspended" in await ran(command, "admin", "tenants", "suspend", "studio", *WHY)
    assert "active" in await ran(command, "admin", "tenants", "resume", "studio", *WHY)
    zone = ("admin", "tenants", "set-time-zone", "studio", "Europe/Berlin", "--anniversary", "2026-01-31", *WHY)
    assert "2026-01-31" in await ran(command, *zone)
    assert "Europe/Berlin" in await ran(command, "admin", "tenants", "list")
    assert "unfinished jobs" in await ran(command, "admin", "tenants", "show", "studio")
    made = await ran(command, "admin", "operators", "create", "Eve", "--role", "viewer", "--expires-in", "90d", *WHY)
    (eve,) = made.splitlines()
    listed = await ran(command, "admin", "operators", "list", key=eve)
    operator = next(word for word in listed.split() if word.startswith("operators/"))
    assert "Eve" in listed
    assert "role operator" in await ran(command, "admin", "tenants", "resume", "studio", *WHY, key=eve, code=6)
    assert operator in await ran(command, "admin", "operators", "revoke", operator, *WHY)
    assert "suspended -> active" in await ran(command, "admin", "log")


@pytest.mark.parametrize(
    "arguments",
    [
        ("admin", "credit", "studio", "0", *WHY),
        ("admin", "credit", "studio", "-1", *WHY),
        ("admin", "credit", "studio", "1e99", *WHY),
        ("admin", "credit", "studio", "0.0000001", *WHY),
        ("admin", "debit", "studio", "NaN", *WHY),
        ("admin", "limits", "set", "studio", "user spend month", "-1", *WHY),
        ("admin", "limits", "set", "studio", "user spend month", "1.5", *WHY),
        ("admin", "keys", "create", "web", "--expires-in", "soon"),
        ("admin", "keys", "create", "web", "--expires-in", "999999999d"),
        ("admin", "keys", "rotate", "tenants/studio/keys/1", "--overlap", "36501d"),
        ("admin", "keys", "create", "web", "--scope", "everything"),
        ("admin", "tenants", "resume", "studio"),
    ],
)
async def test_what_cannot_be_meant_is_refused_before_any_call(command: Command, arguments: tuple[str, ...]) -> None:
    assert "Usage" in await ran(command, *arguments, code=2)


async def test_a_limit_without_quotes_is_refused_with_what_to_type(command: Command) -> None:
    typed = ("admin", "limits", "set", "studio", "user", "spend", "month", "5", *WHY)
    assert "in quotes, such as 'user spend month'" in await ran(command, *typed, code=2)
