"""What is sent to endpoints of webhooks: a job's event is that of its watchers, in the JSON of protobuf."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from google.protobuf import json_format

from services.orchestrator.api import job_messages
from services.orchestrator.domain import event as events
from services.orchestrator.domain.event import Event, JobError, VideoOutput
from services.orchestrator.domain.spec import Size
from services.orchestrator.domain.webhook import OF_KIND
from services.orchestrator.domain.webhook_payload import AssetFact, JobFact, TestFact, UsageFact, payload, timestamp

TIME = datetime(2026, 11, 30, 12, 0, 1, 234567, tzinfo=UTC)
ERROR = JobError("ENGINE_FAILED", 'It said "no"\n', retryable=True)
OUTPUT = VideoOutput("a" * 64, Size(640, 384), 33, 8.0, 4125, 5_000_000_000)
BODIES: list[events.Body] = [
    events.Admitted(0),
    events.Admitted(1_500_000),
    events.Started(2),
    events.PromptWritten("Ein Kätzchen", "", "json", "model", 120, ""),
    events.FragmentReady(0, "b" * 64, 8, 1_000, 0.25),
    events.Warned("OUTPUT_SIZE", "Smaller."),
    events.Rerouted("b", "vendor", 10, "a", ERROR),
    events.Retrying(ERROR, TIME + timedelta(seconds=5)),
    events.Reconciling(ERROR),
    events.Succeeded(OUTPUT, 20),
    events.Succeeded(VideoOutput("a" * 64, Size(640, 384), 33, 8.0, 4000, 1), 0),
    events.Failed(ERROR, 0),
    events.Cancelled(0),
]


def sent(fact: JobFact | AssetFact | UsageFact | TestFact, event_type: str = "x") -> dict[str, object]:
    content: dict[str, object] = json.loads(payload(event_type, TIME, fact))
    return content


@pytest.mark.parametrize("body", BODIES, ids=lambda body: type(body).__name__)
def test_a_jobs_event_is_its_message_in_the_json_of_protobuf(body: events.Body) -> None:
    event = Event(7, TIME, body)
    content = sent(JobFact("j", "ann", event))
    expected = json_format.MessageToDict(job_messages.event(event), always_print_fields_with_no_presence=True)
    assert content["data"] == {"job": "jobs/j", "user": "ann", "sequence": 7, "event": expected}


def test_every_type_of_a_job_has_a_payload_that_was_compared() -> None:
    assert {type(body) for body in BODIES} == set(OF_KIND)


@pytest.mark.parametrize("microseconds", [0, 1, 1000, 120_000, 999_999])
def test_times_are_those_of_protobuf(microseconds: int) -> None:
    time = TIME.replace(microsecond=microseconds)
    message = job_messages.timestamp(time)
    assert timestamp(time) == json_format.MessageToDict(message)


def test_the_body_is_the_same_text_for_the_same_event() -> None:
    fact = JobFact("j", "ann", Event(1, TIME, BODIES[3]))
    assert payload("job.prompt_written", TIME, fact) == payload("job.prompt_written", TIME, fact)
    assert "Kätzchen" in payload("job.prompt_written", TIME, fact)


def test_an_event_of_a_newer_release_is_sent_by_number_and_time() -> None:
    content = sent(JobFact("j", "ann", Event(3, TIME, events.Unrecognized("New"))))
    assert content["data"] == {
        "job": "jobs/j",
        "user": "ann",
        "sequence": 3,
        "event": {"sequence": "3", "createTime": "2026-11-30T12:00:01.234567Z"},
    }


def test_assets_warnings_and_tests_say_what_they_are_about() -> None:
    about = {"kind": "video", "size_bytes": 7, "job_id": "j", "cause": "made"}
    assert sent(AssetFact("a" * 64, "ann", about), "asset.created") == {
        "type": "asset.created",
        "timestamp": "2026-11-30T12:00:01.234567Z",
        "data": {
            "asset": f"assets/{'a' * 64}",
            "user": "ann",
            "kind": "video",
            "sizeBytes": "7",
            "job": "jobs/j",
            "cause": "made",
        },
    }
    used = {"measure": "spend", "period": "2026-11", "threshold": 80, "counted": 8, "most": 10}
    for subject, kind, user, key in (
        ("", "tenant", "", ""),
        ("user:a:b", "user", "a:b", ""),
        ("key:k", "key", "", "k"),
    ):
        content = sent(UsageFact(used | {"subject": subject}))
        said = content["data"]
        assert isinstance(said, dict)
        assert (said["subject"], said["user"], said["key"], said["percent"]) == (kind, user, key, 80)
        assert (said["counted"], said["limit"]) == ("8", "10")
    assert sent(TestFact("e"))["data"] == {"webhook": "webhooks/e"}
