"""What a receiver of webhooks accepts: messages of the service, signed with one of its secrets, a short time ago."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from google.protobuf import json_format
from i2v.v1 import job_pb2
from standardwebhooks.webhooks import Webhook

from i2v_client import InvalidWebhook, verify_webhook

NEW, OLD = "whsec_bmV3LXNlY3JldC1vZi1hbi1lbmRwb2ludA==", "whsec_b2xkLXNlY3JldC1vZi1hbi1lbmRwb2ludA=="
TIME = datetime(2026, 11, 30, 16, 0, 0, 123000, tzinfo=UTC)
ENDED = job_pb2.JobEvent(
    sequence=9, succeeded=job_pb2.Succeeded(output=job_pb2.VideoOutput(asset="assets/7", size_bytes=5_000_000_000))
)
JOB = {"job": "jobs/7", "user": "ann", "sequence": 9, "event": json_format.MessageToDict(ENDED)}


def body_of(type_: str, data: object, time: str = "2026-11-30T16:00:00.123Z") -> bytes:
    return json.dumps({"type": type_, "timestamp": time, "data": data}, ensure_ascii=False).encode()


BODY = body_of("job.succeeded", JOB)


def signed(body: bytes, *secrets: str, ago: timedelta = timedelta(), id_: str = "evt_1") -> dict[str, str]:
    at = datetime.now(UTC) - ago
    signatures = [Webhook(each).sign(id_, at, body.decode()) for each in secrets]
    return {
        "Webhook-Id": id_,
        "Webhook-Timestamp": str(int(at.timestamp())),
        "Webhook-Signature": " ".join(signatures),
    }


def test_a_message_about_a_job_is_the_event_that_a_watch_yields() -> None:
    event = verify_webhook(BODY, signed(BODY, NEW), NEW)
    assert (event.id, event.type, event.time) == ("evt_1", "job.succeeded", TIME)
    assert (event.job, event.sequence, event.job_event) == ("jobs/7", 9, ENDED)
    assert event.data == JOB


def test_a_message_about_something_else_has_its_data_and_no_job() -> None:
    body = body_of("asset.created", {"asset": "assets/7", "user": "ann", "title": "ein Kätzchen"})
    event = verify_webhook(body, signed(body, NEW), NEW)
    assert (event.job, event.sequence, event.job_event) == ("", 0, None)
    assert event.data["title"] == "ein Kätzchen"


def test_what_a_newer_server_adds_to_an_event_is_left_out() -> None:
    body = body_of("job.new", JOB | {"event": {"sequence": "9", "newKind": {"x": 1}}, "more": 1})
    event = verify_webhook(body, signed(body, NEW), NEW)
    assert event.job_event == job_pb2.JobEvent(sequence=9)


def test_during_a_rotation_either_secret_is_enough_on_both_sides() -> None:
    for held in ([NEW], [OLD], [NEW, OLD], [OLD, NEW]):
        assert verify_webhook(BODY, signed(BODY, NEW, OLD), held).id == "evt_1"
    assert verify_webhook(BODY, signed(BODY, OLD), [NEW, OLD]).id == "evt_1"
    with pytest.raises(InvalidWebhook):
        verify_webhook(BODY, signed(BODY, OLD), NEW)


@pytest.mark.parametrize("ago", [timedelta(minutes=6), timedelta(minutes=-6), timedelta(days=400)])
def test_a_message_that_was_kept_and_sent_again_is_refused_and_so_is_one_of_the_future(ago: timedelta) -> None:
    with pytest.raises(InvalidWebhook, match=r"too (old|new)"):
        verify_webhook(BODY, signed(BODY, NEW, ago=ago), [NEW, OLD])


def test_whatever_was_changed_on_the_way_is_refused() -> None:
    whole = signed(BODY, NEW)
    later = str(int(whole["Webhook-Timestamp"]) + 1)
    for body, headers in (
        (BODY.replace(b"jobs/7", b"jobs/8"), whole),
        (BODY + b" ", whole),
        (BODY, whole | {"Webhook-Id": "evt_2"}),
        (BODY, whole | {"Webhook-Timestamp": later}),
        (BODY, whole | {"Webhook-Signature": whole["Webhook-Signature"].replace("v1,", "v1,A", 1)}),
    ):
        with pytest.raises(InvalidWebhook):
            verify_webhook(body, headers, NEW)


@pytest.mark.parametrize(
    "changed",
    [
        {"Webhook-Id": ""},
        {"Webhook-Timestamp": ""},
        {"Webhook-Timestamp": "nan"},
        {"Webhook-Timestamp": "1e400"},
        {"Webhook-Timestamp": "today"},
        {"Webhook-Signature": ""},
        {"Webhook-Signature": "v1"},
        {"Webhook-Signature": "v1,a,b"},
        {"Webhook-Signature": "v1,§"},
        {"Webhook-Signature": "v2,AAAA"},
        {"Webhook-Signature": " " * 1000},
    ],
    ids=str,
)
def test_headers_that_are_none_of_the_form_are_refused_and_nothing_else_is_raised(changed: dict[str, str]) -> None:
    with pytest.raises(InvalidWebhook):
        verify_webhook(BODY, signed(BODY, NEW) | changed, [NEW, OLD])


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"7",
        b'{"type": "x"}',
        body_of("x", 7),
        body_of("x", {}, "yesterday"),
        body_of("x", {"event": {"sequence": "many"}}),
        body_of("x", {"event": 7}),
        body_of("x", {"sequence": []}),
    ],
)
def test_a_signed_body_that_is_no_event_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidWebhook):
        verify_webhook(body, signed(body, NEW), NEW)


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(InvalidWebhook):
        verify_webhook(b"\xff\xfe", signed(b"{}", NEW), NEW)


def test_without_a_secret_nothing_is_trusted() -> None:
    with pytest.raises(InvalidWebhook, match="no secret"):
        verify_webhook(BODY, signed(BODY, NEW), [])
    with pytest.raises(Exception, match="may not be empty"):
        verify_webhook(BODY, signed(BODY, NEW), "")
