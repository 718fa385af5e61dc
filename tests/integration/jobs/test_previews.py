"""Previews and quotes through the server: everything that is known before a job costs money."""

import json
import logging
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from i2v.v1 import job_pb2

from services.orchestrator.role import Role
from tests.integration.jobs.test_refusals import Code, details, refused
from tests.support.builders import ScriptedBackend
from tests.support.served_orchestrator import Served, caller, image_spec, served, text_spec

LimitStatus = job_pb2.LimitStatus


@pytest.fixture
async def i2v(database: str, tmp_path: Path) -> AsyncIterator[Served]:
    async with served(database, tmp_path, {"test": (ScriptedBackend(), 1)}, role=Role.API) as running:
        yield running


async def preview(i2v: Served, spec: job_pb2.JobSpec, **who: str) -> job_pb2.PreviewJobResponse:
    return await i2v.jobs.PreviewJob(job_pb2.PreviewJobRequest(spec=spec), metadata=caller(**who))


async def submit(i2v: Served, spec: job_pb2.JobSpec, token: str, request_id: str = "", **who: str) -> job_pb2.Job:
    request = job_pb2.SubmitJobRequest(request_id=request_id or str(uuid.uuid4()), spec=spec, quote_token=token)
    return await i2v.jobs.SubmitJob(request, metadata=caller(**who))


async def test_a_preview_says_the_price_its_lines_and_what_is_left_of_every_limit(i2v: Served) -> None:
    before = await i2v.usage()
    found = await preview(i2v, text_spec(seconds=2))
    assert found.admissible and not found.problems
    (line,) = found.lines
    assert (line.kind, line.quantity, line.unit_price.amount_micros) == (job_pb2.PriceLine.VIDEO_SECONDS, 2, 1000)
    assert line.amount.amount_micros == found.quote.amount_micros == 2000
    limits = {(each.subject, each.measure): each for each in found.limits}
    budget = limits["user", "spend"]
    assert (budget.unit, budget.limit, budget.asked, budget.left) == (LimitStatus.MICROS, 500_000, 2000, 498_000)
    assert budget.HasField("reset_time") and not budget.exceeded
    unfinished = limits["tenant", "unfinished"]
    assert (unfinished.limit, unfinished.asked, unfinished.left) == (10_000, 1, 9_999)
    assert not unfinished.HasField("reset_time")
    assert found.quote_expire_time.seconds > 0 and len(found.card_version) == 12
    assert await i2v.usage() == before


async def test_all_problems_come_in_one_answer(i2v: Served) -> None:
    spec = image_spec("assets/" + "a" * 64, prompt="", seed=-1, quality=9)
    spec.image_to_video.fit = 7
    spec.timeout.seconds = 400_000_000_000
    found = await preview(i2v, spec)
    assert not found.admissible and not found.quote_token and not found.HasField("quote")
    assert {(each.field, each.reason) for each in found.problems} == {
        ("spec.image_to_video.fit", "FIT_UNKNOWN"),
        ("spec.quality", "QUALITY_UNKNOWN"),
        ("spec.timeout", "DURATION_MALFORMED"),
        ("spec.image_to_video.prompt", "PROMPT_EMPTY"),
        ("spec.seed", "SEED_OUT_OF_RANGE"),
        ("spec.image_to_video.image", "NOT_FOUND"),
    }
    assert found.spec == spec and found.limits


async def test_all_exceeded_limits_come_in_one_answer(i2v: Served) -> None:
    found = await preview(i2v, text_spec(seconds=2), tenant="poor")
    assert not found.admissible and not found.problems
    (exceeded,) = [each for each in found.limits if each.exceeded]
    assert (exceeded.subject, exceeded.measure, exceeded.limit, exceeded.left) == ("user", "spend", 1500, -500)
    assert exceeded.reason == "USER_BUDGET_EXCEEDED" and "0.001500 USD" in exceeded.message
    assert found.budget_left.amount_micros == -500


async def test_a_job_is_admitted_at_its_quote_and_named_by_it(i2v: Served) -> None:
    found = await preview(i2v, text_spec())
    job = await submit(i2v, text_spec(), found.quote_token)
    assert job.quote == found.quote


@pytest.mark.parametrize(
    ("spec", "who", "reason"),
    [
        (text_spec("another wave"), {}, "QUOTE_FOREIGN"),
        (text_spec(seed=1), {}, "QUOTE_FOREIGN"),
        (text_spec(), {"user": "bob"}, "QUOTE_FOREIGN"),
        (text_spec(), {"tenant": "story"}, "QUOTE_FOREIGN"),
    ],
)
async def test_a_foreign_quote_is_refused_with_the_current_price(
    i2v: Served, spec: job_pb2.JobSpec, who: dict[str, str], reason: str
) -> None:
    token = (await preview(i2v, text_spec())).quote_token
    error = await refused(submit(i2v, spec, token, **who))
    info = details(error)["ErrorInfo"]
    assert (error.code(), info.reason) == (Code.FAILED_PRECONDITION, reason)
    assert (info.metadata["quote_micros"], info.metadata["currency"]) == ("1000", "USD")
    assert (await i2v.usage(**who)).user.reserved.amount_micros == 0


@pytest.mark.parametrize("token", ["x", "A" * 76, "ä", "=" * 1000])
async def test_an_invalid_quote_is_refused(i2v: Served, token: str) -> None:
    error = await refused(submit(i2v, text_spec(), token))
    assert (error.code(), details(error)["ErrorInfo"].reason) == (Code.FAILED_PRECONDITION, "QUOTE_MALFORMED")


async def test_a_repeat_with_or_without_a_quote_is_the_same_job(i2v: Served) -> None:
    token, request_id = (await preview(i2v, text_spec())).quote_token, str(uuid.uuid4())
    first = await submit(i2v, text_spec(), token, request_id)
    for again in (token, "", "no longer a quote"):
        assert (await submit(i2v, text_spec(), again, request_id)).name == first.name


async def test_no_quote_is_in_a_log(i2v: Served, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    token = (await preview(i2v, text_spec())).quote_token
    await submit(i2v, text_spec(), token)
    await refused(submit(i2v, text_spec("another wave"), token))
    logged = json.dumps([{**vars(record), "text": record.getMessage()} for record in caplog.records], default=repr)
    assert caplog.records and token not in logged


async def test_an_unknown_caller_gets_no_preview(i2v: Served) -> None:
    error = await refused(preview(i2v, text_spec(), key="guess"))
    assert error.code() is Code.UNAUTHENTICATED
