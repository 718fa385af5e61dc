"""Usage, the ledger and statements over the real service, and through the command line."""

import csv
import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import sqlalchemy as sa
from i2v.admin.v1 import counter_audit_pb2, counter_audit_pb2_grpc
from i2v.v1 import job_pb2, usage_pb2, usage_pb2_grpc

from services.client.exit_codes import ExitCode
from services.rpc.status_codes import from_call
from tests.support.builders import ScriptedBackend
from tests.support.client_command import Command
from tests.support.served_orchestrator import Served, caller, served, text_spec

OPERATOR = (("authorization", "Bearer operator-key"), ("i2v-user", "op"))
Field = usage_pb2.QueryUsageRequest.Field
JOBS = {"ann": 3, "bob": 1}


@pytest.fixture
async def i2v(database: str, tmp_path: Path) -> AsyncIterator[Served]:
    key = tmp_path / "operator-key"
    key.write_text("operator-key\n")
    key.chmod(0o600)

    def change(values: dict[str, Any]) -> None:
        values["operator_key_file"] = str(key)

    async with served(database, tmp_path, {"test": (ScriptedBackend(), 1)}, change=change) as running:
        for user, jobs in JOBS.items():
            for _ in range(jobs):
                job = await running.submit(text_spec(), user=user)
                assert (await running.ended(job.name, user=user)).state == job_pb2.Job.SUCCEEDED
        yield running


@pytest.fixture
def command(i2v: Served, tmp_path: Path) -> Command:
    return Command(i2v.address, tmp_path)


def usage(i2v: Served) -> Any:
    return usage_pb2_grpc.UsageServiceStub(i2v.channel)


async def run(command: Command, *arguments: str, code: int = 0, user: str = "ann", key: str = "studio-key") -> str:
    ended = await command(*arguments, key=key, I2V_USER=user)
    assert ended.code == code, ended.err
    return ended.out


async def month(i2v: Served) -> str:
    return str((await i2v.usage()).period)


async def refusal(call: Any) -> tuple[str, str]:
    """Returns the reason, and the field of the first violation."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    failure = from_call(caught.value)
    return failure.reason, failure.violations[0].field


async def test_usage_has_every_limit_and_what_it_has_left(i2v: Served, command: Command) -> None:
    found = {(each.subject, each.measure): each for each in (await i2v.usage()).limits}
    spend = found[("user", "spend")]
    assert (spend.limit, spend.used, spend.held, spend.left) == (500_000, 3000, 0, 497_000)
    assert spend.HasField("reset_time") and not found[("user", "unfinished")].HasField("reset_time")
    assert spend.asked == 0 and not spend.exceeded
    shown = await run(command, "usage")
    [line] = [line.split() for line in shown.splitlines() if line.split()[:3] == ["user", "spend", "month"]]
    assert line[3:11:2] == ["0.500000", "0.003000", "0.000000", "0.497000"]


async def test_usage_is_summed_by_one_or_two_fields_of_the_user_or_the_tenant(i2v: Served, command: Command) -> None:
    request = usage_pb2.QueryUsageRequest(group_by=[Field.USER, Field.MODEL], whole_tenant=True, page_size=1)
    first = await usage(i2v).QueryUsage(request, metadata=caller())
    request.page_token = first.next_page_token
    second = await usage(i2v).QueryUsage(request, metadata=caller())
    groups = [*first.groups, *second.groups]
    assert [list(each.values) for each in groups] == [["ann", "test-model"], ["bob", "test-model"]]
    assert [each.sums.spent.amount_micros for each in groups] == [3000, 1000]
    assert first.total.spent.amount_micros == second.total.spent.amount_micros == 4000
    assert first.total.jobs == first.total.admitted_jobs == 4 and not second.next_page_token
    own = await usage(i2v).QueryUsage(usage_pb2.QueryUsageRequest(group_by=[Field.DAY]), metadata=caller(user="bob"))
    assert own.total.spent.amount_micros == 1000
    shown = (await run(command, "usage", "--by", "user", "--tenant")).splitlines()
    assert [line.split()[:2] for line in shown[-3:]] == [
        ["ann", "0.003000"],
        ["bob", "0.001000"],
        ["total", "0.004000"],
    ]
    assert "total" in await run(command, "usage", "--by", "day", "--by", "operation", "--since", "2026-01-01", code=0)


async def test_questions_that_cannot_be_answered_are_refused_by_field(i2v: Served, command: Command) -> None:
    ask = usage_pb2.QueryUsageRequest
    for request, field in (
        (ask(), "group_by"),
        (ask(group_by=[Field.DAY, Field.DAY]), "group_by"),
        (ask(group_by=[Field.DAY, Field.KEY, Field.USER]), "group_by"),
        (ask(group_by=[99]), "group_by"),
        (ask(group_by=[Field.DAY], since_day="2026-02-30"), "since_day"),
        (ask(group_by=[Field.DAY], since_day="yesterday"), "since_day"),
        (ask(group_by=[Field.DAY], since_day="2026-11-02", until_day="2026-11-01"), "until_day"),
        (ask(group_by=[Field.DAY], since_day="2024-11-01", until_day="2026-11-01"), "until_day"),
        (ask(group_by=[Field.DAY], page_size=201), "page_size"),
        (ask(group_by=[Field.DAY], page_token="x"), "page_token"),
    ):
        assert (await refusal(usage(i2v).QueryUsage(request, metadata=caller())))[1] == field
    entries = usage_pb2.ListLedgerEntriesRequest
    for asked, field in (
        (entries(kind=99), "kind"),
        (entries(user="bob"), "user"),
        (entries(job="7"), "job"),
        (entries(page_token="x"), "page_token"),
    ):
        assert (await refusal(usage(i2v).ListLedgerEntries(asked, metadata=caller())))[1] == field
    page = await usage(i2v).ListLedgerEntries(entries(page_size=1), metadata=caller())
    other = entries(page_size=1, whole_tenant=True, page_token=page.next_page_token)
    assert (await refusal(usage(i2v).ListLedgerEntries(other, metadata=caller())))[0] == "PAGE_TOKEN_MALFORMED"
    for text in ("", "2026", "2026-13", "0000-01", "2999-01"):
        stream = usage(i2v).StreamStatement(usage_pb2.StreamStatementRequest(month=text), metadata=caller())
        assert (await refusal(stream.read()))[1] == "month"
    await run(command, "usage", "--since", "2026-11-01", code=ExitCode.USAGE)
    await run(command, "usage", "--by", "day", "--by", "day", code=ExitCode.USAGE)


async def test_the_ledger_is_listed_in_pages_with_filters(i2v: Served, command: Command) -> None:
    request, found = usage_pb2.ListLedgerEntriesRequest(page_size=3, whole_tenant=True), []
    while True:
        page = await usage(i2v).ListLedgerEntries(request, metadata=caller())
        found += page.entries
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    assert len(found) == len({(each.job, each.kind) for each in found}) == 8
    settled = next(each for each in found if each.kind == usage_pb2.LedgerEntry.SETTLE and each.user == "bob")
    assert (settled.model, settled.operation, settled.jobs) == ("test-model", "text-to-video", 1)
    assert settled.spent.amount_micros == -settled.reserved.amount_micros == 1000
    assert settled.video.ToMilliseconds() == 1000 and settled.period_time.seconds <= settled.create_time.seconds
    assert len((await run(command, "ledger")).splitlines()) == 1 + 6
    assert len((await run(command, "ledger", "--tenant", "--limit", "7")).splitlines()) == 1 + 7
    assert len((await run(command, "ledger", "--of", "bob", "--kind", "settle")).splitlines()) == 1 + 1
    assert len((await run(command, "ledger", "--job", settled.job.removeprefix("jobs/"), "--tenant")).splitlines()) == 3


async def test_a_statement_as_csv_and_as_sums_has_what_the_counters_have(
    i2v: Served, command: Command, tmp_path: Path
) -> None:
    now = await month(i2v)
    shown = await run(command, "statement", now, "--tenant")
    assert f"Statement of {now} for tenant studio, plan test" in shown and "0.004000 USD" in shown
    assert "user ann of tenant studio" in await run(command, "statement", now)
    text = await run(command, "statement", now, "--csv", "-", "--tenant")
    await run(command, "statement", now, "--csv", "november.csv", "--tenant")
    assert (tmp_path / "november.csv").read_bytes() == text.encode()
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert len(rows) == 8 and text.count("\r\n") == 9
    counted = (await i2v.usage()).tenant.spent.amount_micros
    assert sum(round(float(row["spent"]) * 1_000_000) for row in rows) == counted == 4000
    assert sum(round(float(row["reserved"]) * 1_000_000) for row in rows) == 0
    assert {row["user"] for row in rows} == {"ann", "bob"}
    await run(command, "statement", now, "--csv", "none/november.csv", code=ExitCode.USAGE)


async def test_statements_that_nobody_reads_to_the_end_give_their_connections_back(i2v: Served) -> None:
    request = usage_pb2.StreamStatementRequest(month=await month(i2v), whole_tenant=True)
    for _ in range(12):  # more than there are connections
        stream = usage(i2v).StreamStatement(request, metadata=caller())
        try:
            assert (await stream.read()).WhichOneof("part") == "header"
        except grpc.aio.AioRpcError as error:  # those before are just ending
            assert from_call(error).reason == "TENANT_STATEMENTS_LIMIT_REACHED"
        stream.cancel()
    assert (await i2v.usage()).tenant.spent.amount_micros == 4000


async def test_a_statement_that_is_not_what_the_counter_has_ends_with_an_error(i2v: Served, command: Command) -> None:
    async with i2v.app.store.database.writing() as connection:
        await connection.execute(sa.text("UPDATE counters SET used = used + 1 WHERE measure = 'spend'"))
    ended = await command("statement", await month(i2v), key="studio-key", I2V_USER="ann")
    assert ended.code == ExitCode.SERVICE and "Tell the operators" in ended.err


async def test_operators_audit_every_counter_and_see_the_differences(i2v: Served, command: Command) -> None:
    assert "Every counter is the sum of what it counts." in await run(command, "admin", "audit", key="operator-key")
    async with i2v.app.store.database.writing() as connection:
        await connection.execute(
            sa.text("UPDATE counters SET used = used + 7 WHERE measure = 'unfinished' AND subject = 'user:bob'")
        )
    shown = await run(command, "admin", "audit", key="operator-key", code=ExitCode.SERVICE)
    assert "holds" in shown and "user:bob" in shown and "used 7" in shown and "used 0" in shown
    stub: Any = counter_audit_pb2_grpc.CounterAuditServiceStub(i2v.channel)
    found = await stub.AuditCounters(counter_audit_pb2.AuditCountersRequest(), metadata=OPERATOR)
    assert [each.found.used for each in found.differences] == [7] and found.HasField("last_audit_time")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.AuditCounters(counter_audit_pb2.AuditCountersRequest(), metadata=caller())
    assert from_call(caught.value).reason == "OPERATORS_ONLY"
