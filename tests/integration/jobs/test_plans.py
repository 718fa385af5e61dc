"""Plans and model cards change while the service runs: new jobs follow them, admitted ones keep what was agreed."""

import asyncio
import logging
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from i2v.admin.v1 import plan_pb2, plan_pb2_grpc
from i2v.v1 import catalog_pb2, job_pb2

from services.orchestrator.api.authentication import digest
from services.orchestrator.role import Role
from tests.support.builders import ScriptedBackend
from tests.support.client_command import Command
from tests.support.plan_files import plan_table
from tests.support.served_orchestrator import GOLDEN, Served, caller, served, text_spec
from tests.support.worker_processes import fake_models, said, worker

OPERATOR_KEY = "the-operators-key"
OPERATOR = caller(key=OPERATOR_KEY)
SHIPPED = Path("deploy/config/plans.toml")
CARDS = (GOLDEN / "models.toml").read_text()
PLANS = plan_table("test", 1_000_000, 100) + plan_table("poor", 1_000_000, 100)
ONLY_STILL = PLANS.replace("[plans.test]", '[plans.test]\nmodels = ["still"]')


class Rig:
    """A running service whose files a test changes."""

    def __init__(self, i2v: Served, folder: Path, backend: ScriptedBackend) -> None:
        self.i2v, self.folder, self.backend = i2v, folder, backend

    def write(self, name: str, text: str) -> None:
        """Replaces a file at once, as an operator should."""
        (self.folder / "next").write_text(text)
        (self.folder / "next").rename(self.folder / name)

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(30):
            while True:
                if holds():
                    return
                await asyncio.sleep(0.01)

    def metric(self, name: str, **labels: str) -> float | None:
        return self.i2v.registry.get_sample_value(name, labels)

    def plans(self) -> Any:
        return plan_pb2_grpc.PlanServiceStub(self.i2v.channel)


@pytest.fixture
async def rig(database: str, tmp_path: Path) -> AsyncIterator[Rig]:
    backend = ScriptedBackend()
    for name, text in (("plans.toml", PLANS), ("models.toml", CARDS), ("operator-key", OPERATOR_KEY)):
        (tmp_path / name).write_text(text)

    def change(values: dict[str, Any]) -> None:
        values |= {
            "plans_file": tmp_path / "plans.toml",
            "models_file": tmp_path / "models.toml",
            "operator_key_file": str(tmp_path / "operator-key"),
            "config_check_s": 0.02,
        }

    async with served(database, tmp_path, {"test": (backend, 1)}, role=Role.ALL, change=change) as i2v:
        yield Rig(i2v, tmp_path, backend)
        assert await i2v.app.store.counter_audits.full(limit=9) == []


async def refusal(call: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call
    return refused.value.code(), refused.value.details() or ""


async def test_a_new_list_of_models_refuses_the_next_job_and_not_one_that_runs(rig: Rig) -> None:
    rig.backend.gate.clear()
    running = await rig.i2v.submit(text_spec())
    await rig.backend.begun.wait()
    rig.write("plans.toml", ONLY_STILL)
    await rig.until(lambda: rig.i2v.app.config.plans["test"].models is not None)
    code, details = await refusal(rig.i2v.submit(text_spec()))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert "is 'test-model'; the plan 'test' allows still" in details
    preview = await rig.i2v.jobs.PreviewJob(job_pb2.PreviewJobRequest(spec=text_spec()), metadata=caller())
    assert [(each.field, each.reason) for each in preview.problems] == [("spec.model", "MODEL_NOT_IN_PLAN")]
    assert not preview.admissible
    rig.backend.gate.set()
    ended = await rig.i2v.ended(running.name)
    assert (ended.state, ended.charged.amount_micros) == (job_pb2.Job.SUCCEEDED, 1000)


async def test_a_bad_file_of_plans_changes_nothing_and_is_counted(rig: Rig) -> None:
    rig.write("plans.toml", ONLY_STILL.replace("100 }", "-1 }", 1))
    await rig.until(lambda: rig.metric("i2v_config_reload_failures_total", config="plans") == 1)
    assert rig.metric("i2v_config_usable", config="plans") == 0
    assert rig.metric("i2v_config_usable", config="cards") == 1
    assert (await rig.i2v.ended((await rig.i2v.submit(text_spec())).name)).state == job_pb2.Job.SUCCEEDED
    rig.write("plans.toml", ONLY_STILL)
    await rig.until(lambda: rig.metric("i2v_config_usable", config="plans") == 1)
    assert "the plan 'test' allows still" in (await refusal(rig.i2v.submit(text_spec())))[1]


async def test_a_plan_that_is_removed_refuses_its_tenants_and_their_jobs_end_as_usual(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    rig.backend.gate.clear()
    running = await rig.i2v.submit(text_spec())
    await rig.backend.begun.wait()
    with caplog.at_level(logging.ERROR):
        rig.write("plans.toml", plan_table("poor", 1_000_000, 100))
        await rig.until(lambda: any("the plan of a tenant" in record.message for record in caplog.records))
    logged = [record.__dict__ for record in caplog.records if "the plan of a tenant" in record.message]
    assert [(each["tenant"], each["plan"]) for each in logged] == [("story", "test"), ("studio", "test")]
    code, details = await refusal(rig.i2v.submit(text_spec()))
    assert (code, "The plan 'test'" in details) == (grpc.StatusCode.FAILED_PRECONDITION, True)
    assert (await rig.i2v.submit(text_spec(), tenant="poor")).name
    rig.backend.gate.set()
    rig.write("plans.toml", PLANS)
    await rig.until(lambda: "test" in rig.i2v.app.config.plans)
    ended = await rig.i2v.ended(running.name)
    assert (ended.state, ended.charged.amount_micros) == (job_pb2.Job.SUCCEEDED, 1000)


async def test_a_new_model_and_a_new_price_hold_without_a_restart_and_a_quote_stays(rig: Rig) -> None:
    rig.backend.gate.clear()
    first = await rig.i2v.submit(text_spec())
    await rig.backend.begun.wait()
    dearer = CARDS.replace("price_per_second_micros = 1000", "price_per_second_micros = 3000")
    rig.write("models.toml", dearer + CARDS.replace("test-model", "newcomer"))
    await rig.until(lambda: "newcomer" in rig.i2v.app.config.catalog().cards)
    listed = await rig.i2v.catalog.ListModels(catalog_pb2.ListModelsRequest(), metadata=caller())
    prices = {each.name: each.price_per_second.amount_micros for each in listed.models}
    assert prices == {"models/newcomer": 1000, "models/test-model": 3000}
    second = await rig.i2v.submit(text_spec())
    third = await rig.i2v.submit(text_spec(model="newcomer"))
    rig.backend.gate.set()
    ended = [await rig.i2v.ended(job.name) for job in (first, second, third)]
    assert [job.charged.amount_micros for job in ended] == [1000, 3000, 1000]


async def test_a_model_that_is_removed_while_its_job_runs_does_not_disturb_the_job(rig: Rig) -> None:
    rig.backend.gate.clear()
    running = await rig.i2v.submit(text_spec())
    await rig.backend.begun.wait()
    rig.write("models.toml", CARDS.replace("test-model", "other"))
    await rig.until(lambda: "other" in rig.i2v.app.config.catalog().cards)
    assert "there are other" in (await refusal(rig.i2v.submit(text_spec())))[1]
    rig.backend.gate.set()
    assert (await rig.i2v.ended(running.name)).state == job_pb2.Job.SUCCEEDED


async def test_a_job_waits_for_a_worker_that_does_not_have_its_models_card_yet(rig: Rig) -> None:
    rig.backend.gate.clear()
    await rig.i2v.submit(text_spec())
    await rig.backend.begun.wait()
    waiting = await rig.i2v.submit(text_spec())  # the only slot is taken
    rig.write("models.toml", CARDS.replace("test-model", "other"))
    await rig.until(lambda: "other" in rig.i2v.app.config.catalog().cards)
    rig.backend.gate.set()
    retrying = (await rig.i2v.until(waiting.name, "retrying")).retrying
    assert (retrying.error.reason, retrying.error.retryable) == ("MODEL_GONE", True)
    rig.write("models.toml", CARDS)
    assert (await rig.i2v.ended(waiting.name)).state == job_pb2.Job.SUCCEEDED


async def test_the_free_plan_as_shipped_allows_two_videos_of_nano_and_none_of_vendors(rig: Rig) -> None:
    await rig.i2v.app.store.tenants.put("guest", "free", digest("guest-key"))
    rig.write("models.toml", CARDS.replace("test-model", "nano") + CARDS)
    rig.write("plans.toml", SHIPPED.read_text())
    await rig.until(lambda: "free" in rig.i2v.app.config.plans and "nano" in rig.i2v.app.config.catalog().cards)
    details = (await refusal(rig.i2v.submit(text_spec(), tenant="guest")))[1]
    assert "is 'test-model'; the plan 'free' allows nano" in details
    for _ in range(2):
        job = await rig.i2v.submit(text_spec(model="nano"), tenant="guest")
        assert (await rig.i2v.ended(job.name, tenant="guest")).state == job_pb2.Job.SUCCEEDED
    code, details = await refusal(rig.i2v.submit(text_spec(model="nano"), tenant="guest"))
    assert (code, "2" in details) == (grpc.StatusCode.RESOURCE_EXHAUSTED, True)


async def test_a_process_reads_its_files_again_at_sighup(database: str, tmp_path: Path) -> None:
    fake_models(tmp_path)
    plans, log = tmp_path / "plans.toml", tmp_path / "worker-0.log"
    plans.write_text(PLANS)
    settings = {"I2V_PLANS_FILE": str(plans), "I2V_CONFIG_CHECK_S": "3600"}
    with worker(database, tmp_path, role="api", **settings) as process:
        await said(process, log, '"ready"')
        plans.write_text(PLANS + "[plans.new]\nweight = 0\n")
        process.send_signal(signal.SIGHUP)
        refused = await said(process, log, "the old one stays")
        line = len(PLANS.splitlines()) + 2
        assert f"line {line}: the plan 'new' has weight = '0'; it is a whole number from 1 to 100" in refused
        plans.write_text(PLANS + "[plans.new]\n")
        process.send_signal(signal.SIGHUP)
        await said(process, log, "a new version of the configuration holds")
        process.terminate()
        assert await asyncio.to_thread(process.wait, 60) == 0


def check(text: str) -> plan_pb2.CheckPlansRequest:
    return plan_pb2.CheckPlansRequest(content=text.encode())


async def test_operators_check_a_file_and_see_the_plans_and_nothing_changes(rig: Rig) -> None:
    bad = await rig.plans().CheckPlans(check(PLANS.replace("100 }", "1.5 }", 1)), metadata=OPERATOR)
    [problem] = bad.problems
    assert (problem.line, bad.plans, bad.warnings) == (4, [], [])
    assert problem.message.startswith("limit 2 of the plan 'test' has most = '1.5'; it is a whole number from 0")
    good = await rig.plans().CheckPlans(check(ONLY_STILL), metadata=OPERATOR)
    assert [(each.line, each.message) for each in good.warnings] == [
        (2, "the plan 'test' allows the model 'still', which no card has")
    ]
    assert ([each.name for each in good.plans], good.problems) == (["plans/poor", "plans/test"], [])
    assert list(good.plans[1].models) == ["still"]
    listed = (await rig.plans().ListPlans(plan_pb2.ListPlansRequest(), metadata=OPERATOR)).plans
    assert [(each.name, list(each.models)) for each in listed] == [("plans/poor", []), ("plans/test", [])]
    assert [(each.subject, each.measure, each.per, each.unit, each.most) for each in listed[1].limits] == [
        ("tenant", "spend", "month", "micros", 1_000_000),
        ("tenant", "unfinished", "at-a-time", "jobs", 100),
        ("user", "spend", "month", "micros", 1_000_000),
        ("user", "unfinished", "at-a-time", "jobs", 100),
    ]
    not_text = plan_pb2.CheckPlansRequest(content=b"[plans.a]\n\xff")
    [problem] = (await rig.plans().CheckPlans(not_text, metadata=OPERATOR)).problems
    assert (problem.line, problem.message) == (2, "this is not UTF-8")


async def test_only_operators_check_plans_and_no_file_is_too_large(rig: Rig) -> None:
    for call in (
        rig.plans().CheckPlans(check(PLANS), metadata=caller()),
        rig.plans().ListPlans(plan_pb2.ListPlansRequest(), metadata=caller()),
    ):
        assert (await refusal(call))[0] is grpc.StatusCode.PERMISSION_DENIED
    large = plan_pb2.CheckPlansRequest(content=b"#" * (256 * 1024 + 1))
    code, details = await refusal(rig.plans().CheckPlans(large, metadata=OPERATOR))
    assert (code, "has at most 262144" in details) == (grpc.StatusCode.INVALID_ARGUMENT, True)


async def test_the_command_prints_each_problem_with_its_line_and_says_by_its_code_whether_a_file_can_be_used(
    rig: Rig, tmp_path: Path
) -> None:
    i2v = Command(rig.i2v.address, tmp_path)
    listed = await i2v("admin", "plans", "list", key=OPERATOR_KEY)
    assert (listed.code, listed.err) == (0, "")
    assert [line.split() for line in listed.out.splitlines()[:2]] == [
        ["PLAN", "PRIORITY", "WEIGHT", "ALLOWS"],
        ["poor", "0", "1", "tenant:", "spend:", "1", "a", "month"],
    ]
    (tmp_path / "bad.toml").write_text("[plans.a]\nweight = 0\n\n[plans.b]\nprice_most_micros = -1\n")
    bad = await i2v("admin", "plans", "check", "bad.toml", key=OPERATOR_KEY)
    assert (bad.code, bad.out) == (3, "")
    assert bad.err.splitlines() == [
        "bad.toml:2: the plan 'a' has weight = '0'; it is a whole number from 1 to 100",
        "bad.toml:5: the plan 'b' has price_most_micros = '-1'; it is a whole number from 0 to 9007199254740992",
    ]
    shipped = SHIPPED.absolute()
    line = next(n for n, text in enumerate(shipped.read_text().splitlines(), 1) if text.startswith("models = "))
    good = await i2v("admin", "plans", "check", str(shipped), key=OPERATOR_KEY)
    assert good.code == 0
    assert good.err == f"{shipped}:{line}: warning: the plan 'free' allows the model 'nano', which no card has\n"
    assert "tenant: jobs of operation scene-animation: none a month from the anniversary" in good.out
    assert "price of one job: 0.5" in good.out
    as_json = await i2v("admin", "plans", "check", "bad.toml", "--json", key=OPERATOR_KEY)
    assert (as_json.code, '"line":2' in as_json.out.replace(" ", "")) == (3, True)
    assert (await i2v("admin", "plans", "check", "none.toml", key=OPERATOR_KEY)).code == 2
    assert (await i2v("admin", "plans", "list", key="studio-key")).code != 0
