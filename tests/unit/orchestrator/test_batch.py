"""Batches: all jobs or none, or each by itself; and repeats of them."""

from dataclasses import replace

import pytest

from services.errors import (
    InvalidInput,
    InvalidSpec,
    LimitReached,
    NotFound,
    PreconditionFailed,
    RequestIdReused,
    Violation,
)
from services.orchestrator.admission.admit import Submission
from services.orchestrator.admission.batch import Item, Mode, admit_batch, check
from services.orchestrator.admission.queue_forecasts import QueueForecasts
from services.orchestrator.admission.queue_gate import QueueGate
from services.orchestrator.domain.job import Job
from services.orchestrator.domain.spec import ImageToVideo, Spec
from services.reasons import RequestReason
from tests.support.admission_ports import CALLER, AdmissionPorts, MemoryAdmissions
from tests.support.builders import a_spec
from tests.support.memory_queues import MemoryQueues

GONE = a_spec(model="gone")
NO_PICTURE = a_spec(operation=ImageToVideo(image="c" * 64, prompt="a wave"))


def request_id(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012}"


def item(number: int, spec: Spec | None = None, **fields: str) -> Submission:
    return Submission(spec=spec or a_spec(), request_id=request_id(number), **fields)


def shown(outcomes: object) -> list[str]:
    """Returns the ids of jobs, and the reasons of refusals."""
    return [each.id[-2:] if isinstance(each, Job) else each.reason for each in outcomes]  # type: ignore[attr-defined]


async def batch(ports: AdmissionPorts, mode: Mode, *items: Item) -> list[str]:
    return shown(await admit_batch(items, mode, CALLER, ports.admitter))


def metric(ports: AdmissionPorts, mode: Mode, result: str) -> float | None:
    return ports.registry.get_sample_value("i2v_batch_jobs_total", {"mode": mode, "result": result})


async def test_each_job_has_a_result_and_a_bad_one_does_not_affect_the_others() -> None:
    ports = AdmissionPorts()
    unreadable = InvalidSpec([Violation("spec.operation", "is missing")], reason=RequestReason.INVALID_INPUT)
    found = await batch(ports, Mode.EACH, item(1), item(2, GONE), unreadable, item(4, NO_PICTURE), item(5))
    assert found == ["01", "MODEL_UNKNOWN", "INVALID_INPUT", "NOT_FOUND", "02"]
    assert (metric(ports, Mode.EACH, "admitted"), metric(ports, Mode.EACH, "refused")) == (2, 3)


async def test_each_stops_at_a_limit_and_continues_when_it_is_repeated() -> None:
    ports = AdmissionPorts(admissions=MemoryAdmissions(room=2))
    items = [item(number) for number in range(3)]
    assert await batch(ports, Mode.EACH, *items) == ["01", "02", "USER_ACTIVE_JOBS_EXCEEDED"]
    ports.admissions.room = 3
    assert (await batch(ports, Mode.EACH, *items))[:2] == ["01", "02"]
    assert len(ports.admissions.jobs) == 3


async def test_the_rest_of_a_batch_does_not_wait_for_an_unavailable_database() -> None:
    ports = AdmissionPorts(admissions=MemoryAdmissions(away_after=1))
    assert await batch(ports, Mode.EACH, *(item(number) for number in range(4))) == [
        "01",
        *["DATABASE_UNAVAILABLE"] * 3,
    ]
    assert ports.admissions.calls == 2
    ports.admissions.away_after = None
    assert await batch(ports, Mode.EACH, *(item(number) for number in range(4))) == ["01", "04", "05", "06"]


async def test_all_or_nothing_admits_all_and_a_repeat_returns_the_same() -> None:
    ports = AdmissionPorts()
    items = [item(number) for number in range(3)]
    first = await batch(ports, Mode.ALL_OR_NOTHING, *items)
    assert first == ["01", "02", "03"]
    assert await batch(ports, Mode.ALL_OR_NOTHING, *items) == first
    assert await batch(ports, Mode.ALL_OR_NOTHING, *items, item(9)) == [*first, "0a"]
    assert ports.registry.get_sample_value("i2v_jobs_admitted_total", {"model": "test-model"}) == 4


async def test_jobs_of_a_batch_count_together_at_the_most_that_may_wait() -> None:
    ports, queues = AdmissionPorts(), MemoryQueues(others=2)
    forecasts = QueueForecasts(queues, ports.meter)
    gate = QueueGate(queues, forecasts, ports.meter, most_of_backend=3, most_of_all=1000)
    admitter = replace(ports.admitter, gate=gate)
    with pytest.raises(LimitReached) as refused:
        await admit_batch([item(number) for number in range(4)], Mode.ALL_OR_NOTHING, CALLER, admitter)
    assert (refused.value.reason, refused.value.limit) == ("QUEUE_LIMIT_REACHED", 3)
    assert ports.admissions.jobs == {}
    three = [item(number) for number in range(3)]
    first = await admit_batch(three, Mode.ALL_OR_NOTHING, CALLER, admitter)
    assert shown(first) == ["05", "06", "07"]
    with pytest.raises(LimitReached):  # two jobs without room are no malformed request either
        await admit_batch([item(8), item(9)], Mode.ALL_OR_NOTHING, CALLER, admitter)
    assert await admit_batch(three, Mode.ALL_OR_NOTHING, CALLER, admitter) == first


async def test_a_repeat_returns_the_same_jobs_although_their_model_is_gone() -> None:
    ports = AdmissionPorts()
    first = await batch(ports, Mode.ALL_OR_NOTHING, item(1), item(2))
    ports.catalog = type(ports.catalog)({})
    assert await batch(ports, Mode.ALL_OR_NOTHING, item(1), item(2)) == first


async def test_one_bad_job_refuses_all_and_every_field_names_its_job() -> None:
    ports = AdmissionPorts()
    with pytest.raises(InvalidSpec) as error:
        await batch(ports, Mode.ALL_OR_NOTHING, item(1), item(2, a_spec("", seed=-1)), item(3, NO_PICTURE))
    assert [each.field for each in error.value.violations] == [
        "jobs[1].spec.text_to_video.prompt",
        "jobs[1].spec.seed",
        "jobs[2].spec.image_to_video.image",
    ]
    assert error.value.reason == "PROMPT_EMPTY" and ports.admissions.jobs == {}
    assert metric(ports, Mode.ALL_OR_NOTHING, "refused") == 3


async def test_a_missing_asset_alone_is_not_found_and_names_its_job() -> None:
    with pytest.raises(NotFound) as error:
        await batch(AdmissionPorts(), Mode.ALL_OR_NOTHING, item(1), item(2, NO_PICTURE))
    assert error.value.metadata["field"] == "jobs[1].spec.image_to_video.image"


async def test_a_quote_that_does_not_hold_refuses_all_and_names_its_job() -> None:
    ports = AdmissionPorts()
    with pytest.raises(PreconditionFailed) as error:
        await batch(ports, Mode.ALL_OR_NOTHING, item(1), item(2, quote_token="not-a-token"))
    assert (error.value.reason, error.value.metadata["field"]) == ("QUOTE_MALFORMED", "jobs[1].quote_token")
    assert ports.admissions.jobs == {}


@pytest.mark.parametrize("other", [a_spec("another wave"), GONE])
async def test_a_request_id_of_another_spec_refuses_all_and_names_its_job(other: Spec) -> None:
    ports = AdmissionPorts()
    await ports.admitter.admit(item(2), CALLER)
    with pytest.raises(RequestIdReused) as error:
        await batch(ports, Mode.ALL_OR_NOTHING, item(1), item(2, other))
    assert error.value.metadata["field"] == "jobs[1].request_id"
    assert len(ports.admissions.jobs) == 1


def test_a_request_id_may_be_in_a_batch_once() -> None:
    check([request_id(1), request_id(2), "", ""])
    with pytest.raises(InvalidInput) as error:
        check([request_id(1), request_id(2), request_id(1), request_id(2), request_id(1)])
    assert [each.field for each in error.value.violations] == [f"jobs[{index}].request_id" for index in (2, 3, 4)]
    assert error.value.reason == "REQUEST_ID_DUPLICATE"


async def test_every_refused_job_is_named_also_if_each_is_refused_for_a_different_reason() -> None:
    ports = AdmissionPorts()
    await batch(ports, Mode.EACH, item(1))
    reused, missing = item(1, GONE), item(2, NO_PICTURE)
    with pytest.raises(InvalidInput) as refused:
        await batch(ports, Mode.ALL_OR_NOTHING, reused, missing, item(3, NO_PICTURE))
    assert [(each.field, each.reason) for each in refused.value.violations] == [
        ("jobs[0].request_id", "REQUEST_ID_REUSED"),
        ("jobs[1].spec.image_to_video.image", "NOT_FOUND"),
        ("jobs[2].spec.image_to_video.image", "NOT_FOUND"),
    ]
