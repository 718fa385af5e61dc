"""What the service sends to an endpoint is read by the client as the event that a watch yields."""

from datetime import UTC, datetime

import pytest
from standardwebhooks.webhooks import Webhook

from i2v_client import WebhookEvent, verify_webhook
from services.orchestrator.api import job_messages
from services.orchestrator.domain import event as events
from services.orchestrator.domain.event import Event, JobError, VideoOutput
from services.orchestrator.domain.spec import Size
from services.orchestrator.domain.webhook_payload import AssetFact, Fact, JobFact, TestFact, UsageFact, payload

SECRET = "whsec_c2VjcmV0LW9mLXRoZS1lbmRwb2ludA=="
TIME = datetime(2026, 11, 30, 12, 0, 1, 234567, tzinfo=UTC)
BODIES: list[events.Body | events.Unrecognized] = [
    events.Admitted(1_500_000),
    events.PromptWritten("Ein Kätzchen", "", "json", "model", 120, ""),
    events.FragmentReady(0, "b" * 64, 8, 1_000, 0.25),
    events.Retrying(JobError("ENGINE_FAILED", 'It said "no"\n', retryable=True), TIME),
    events.Succeeded(VideoOutput("a" * 64, Size(640, 384), 33, 8.0, 4125, 5_000_000_000), 20),
    events.Unrecognized("New"),
]


def received(fact: Fact, type_: str) -> WebhookEvent:
    body, now = payload(type_, TIME, fact), datetime.now(UTC)
    signature = Webhook(SECRET).sign("evt_1", now, body)
    headers = {"webhook-id": "evt_1", "webhook-timestamp": str(int(now.timestamp())), "webhook-signature": signature}
    return verify_webhook(body.encode(), headers, SECRET)


@pytest.mark.parametrize("body", BODIES, ids=lambda body: type(body).__name__)
def test_a_jobs_event_is_what_a_watch_yields(body: events.Body) -> None:
    event = Event(7, TIME, body)
    got = received(JobFact("j", "ann", event), "job.x")
    assert got.job_event == job_messages.event(event)
    assert (got.job, got.sequence, got.time) == ("jobs/j", 7, TIME)


def test_events_about_no_event_of_a_job_have_their_data() -> None:
    about = {"kind": "video", "size_bytes": 7, "job_id": "j", "cause": "made"}
    got = received(AssetFact("a" * 64, "ann", about), "asset.created")
    assert (got.type, got.job, got.job_event) == ("asset.created", "jobs/j", None)
    assert got.data["sizeBytes"] == "7"
    limit = {"subject": "user:ann", "measure": "spend", "period": "2026-11", "threshold": 90, "counted": 9, "most": 10}
    assert received(UsageFact(limit), "usage.warning").data["percent"] == 90
    assert received(TestFact("7"), "webhook.test").data == {"webhook": "webhooks/7"}
