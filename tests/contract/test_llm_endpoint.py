"""What the prompt writer does about an endpoint that refuses, stays away or is slow."""

import asyncio
from collections.abc import AsyncIterator

import grpc
import pytest
from i2v.provider.v1 import prompt_pb2

from tests.support.prompt_writer_and_simulator import CALLER, GOOD, RETRIES, SCENE, Rig, Start, starting
from tools.simulators.llm import FAULTS, LlmSimulator, Step, fails, writes

Request, Response = prompt_pb2.WritePromptRequest, prompt_pb2.WritePromptResponse


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    async with starting() as starts:
        yield starts


@pytest.fixture
async def rig(start: Start) -> Rig:
    return await start()


@pytest.mark.parametrize(
    "step",
    [
        FAULTS["quota"],
        FAULTS["payment"],
        fails(429, None, "Your quota for this month is used up."),
        fails(403, "insufficient_user_quota"),
        fails(429, None, "Insufficient balance, please recharge."),
        fails(402, "rate_limit_exceeded"),
        Step(429, b"quota exhausted"),
        Step(429, b'[{"error": {"code": 429, "message": "You exceeded your current quota"}}]'),
    ],
)
async def test_an_account_without_credit_is_an_immediate_error(rig: Rig, step: Step) -> None:
    rig.next(step)
    failure = await rig.fails()
    assert (failure.code, failure.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "LLM_QUOTA")
    assert failure.metadata["cost_micros"] == "0"
    assert (len(rig.llm.calls), rig.waits) == (1, [])


async def test_an_account_that_the_first_answer_uses_up_reports_the_cost_of_that_answer(rig: Rig) -> None:
    rig.next(FAULTS["garbage"], FAULTS["quota"])
    failure = await rig.fails()
    assert (failure.reason, failure.metadata["cost_micros"]) == ("LLM_QUOTA", "45")
    assert failure.metadata["currency_code"] == "USD"


@pytest.mark.parametrize(
    "step",
    [
        FAULTS["key"],
        fails(403, None, "This key may not use the model."),
        fails(400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key."),
    ],
)
async def test_a_refused_key_is_an_immediate_error(rig: Rig, step: Step) -> None:
    rig.next(step)
    failure = await rig.fails()
    assert (failure.code, failure.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "LLM_KEY")
    assert (len(rig.llm.calls), rig.waits) == (1, [])


@pytest.mark.parametrize("fault", ["busy", "down", "broken", "drop"])
async def test_a_call_that_may_still_succeed_is_repeated(rig: Rig, fault: str) -> None:
    rig.next(*[FAULTS[fault]] * RETRIES, writes(GOOD, usage=(10, 10)))
    answer = await rig.write()
    assert (answer.prompt, answer.source, answer.cost_micros) == (GOOD, Response.JSON, 8)
    assert len(rig.llm.calls) == RETRIES + 1
    assert rig.waits == ([1.0, 1.0] if fault == "busy" else [0.5, 1.0])
    outcomes = {"busy": "busy", "down": "busy", "broken": "busy", "drop": "unreachable"}
    counted = {"answered": 1, outcomes[fault]: RETRIES}
    for outcome, requests in counted.items():
        assert rig.registry.get_sample_value("i2v_llm_requests_total", {"outcome": outcome}) == requests
    assert rig.registry.get_sample_value("i2v_llm_request_seconds_count") == RETRIES + 1


@pytest.mark.parametrize("fault", ["busy", "down", "broken", "drop", "silence", "drip"])
async def test_an_endpoint_that_stays_unavailable_is_an_error_after_the_last_repeat(start: Start, fault: str) -> None:
    rig = await start(llm_timeout_s=0.5 if fault in ("silence", "drip") else 30.0)
    rig.next(*[FAULTS[fault]] * 9)
    failure = await rig.fails()
    assert (failure.code, failure.reason) == (grpc.StatusCode.UNAVAILABLE, "LLM_DOWN")
    assert failure.retry_after_s == (1.0 if fault == "busy" else 30.0)
    assert len(rig.llm.calls) == RETRIES + 1


async def test_an_endpoint_that_requests_a_longer_wait_than_the_limit_is_left_to_the_caller(rig: Rig) -> None:
    rig.next(fails(429, "rate_limit_exceeded", retry_after="120"))
    failure = await rig.fails()
    assert (failure.reason, failure.retry_after_s, rig.waits) == ("LLM_DOWN", 120.0, [])


@pytest.mark.parametrize("retry_after", ["-1", "nan", "1e9", "soon", "Wed, 21 Oct 2026 07:28:00 GMT"])
async def test_an_unreadable_retry_after_is_ignored(rig: Rig, retry_after: str) -> None:
    rig.next(fails(503, retry_after=retry_after), writes(GOOD))
    assert (await rig.write()).prompt == GOOD
    assert rig.waits == [0.5]


async def test_all_calls_together_have_a_limit_of_their_own(start: Start) -> None:
    rig = await start(llm_timeout_s=30.0, llm_patience_s=0.3)
    rig.next(FAULTS["silence"])
    assert (await rig.fails()).reason == "LLM_DOWN"


async def test_an_endpoint_that_goes_down_after_an_answer_gives_the_template_and_the_cost_is_reported(
    rig: Rig,
) -> None:
    rig.next(FAULTS["garbage"], *[FAULTS["down"]] * 3)
    answer = await rig.write()
    assert (answer.source, answer.cost_micros) == (Response.TEMPLATE, 45)
    assert answer.warning == (
        "The language model's answer has markup, then was followed by none: a template wrote the prompt."
    )


async def test_an_endpoint_that_cannot_be_reached_is_down(start: Start) -> None:
    async with LlmSimulator().serving() as gone:
        url = gone.url
    rig = await start(llm_url=url)
    failure = await rig.fails()
    assert (failure.reason, rig.waits) == ("LLM_DOWN", [0.5, 1.0])


@pytest.mark.parametrize("status", [404, 405, 410])
async def test_an_address_without_the_model_counts_as_down_and_is_not_called_again(rig: Rig, status: int) -> None:
    rig.next(fails(status, "model_not_found"))
    assert (await rig.fails()).reason == "LLM_DOWN"
    assert rig.waits == []


async def test_a_redirect_is_not_followed_with_the_key(rig: Rig) -> None:
    async with LlmSimulator().serving() as elsewhere:
        rig.next(Step(307, b"", (("location", f"{elsewhere.url}/chat/completions"),)))
        assert (await rig.fails()).reason == "LLM_DOWN"
        assert elsewhere.calls == []


async def test_a_cancelled_call_ends_the_call_to_the_endpoint(rig: Rig) -> None:
    rig.next(FAULTS["silence"])
    call = rig.stub.WritePrompt(
        Request(kind=Request.ANIMATION, scene=SCENE, max_characters=400),
        metadata=(("authorization", f"Bearer {CALLER}"),),
    )
    async with asyncio.timeout(90):
        while not rig.llm.calls:  # noqa: ASYNC110  The simulator has no event for it.
            await asyncio.sleep(0.001)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        while rig.llm._tasks:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
