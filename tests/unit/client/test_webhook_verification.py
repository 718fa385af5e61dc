"""What a receiver of webhooks accepts: messages of the service, signed with one of its secrets, a short time ago."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from standardwebhooks.webhooks import Webhook

from i2v_client import InvalidWebhook, verify_webhook

NEW, OLD = "whsec_bmV3LXNlY3JldC1vZi1hbi1lbmRwb2ludA==", "whsec_b2xkLXNlY3JldC1vZi1hbi1lbmRwb2ludA=="
BODY = json.dumps({"type": "job.succeeded", "data": {"job": "jobs/7", "title": "ein Kätzchen"}}).encode()


def signed(body: bytes, *secrets: str, ago: timedelta = timedelta(), id_: str = "evt_1") -> dict[str, str]:
    at = datetime.now(UTC) - ago
    signatures = [Webhook(each).sign(id_, at, body.decode()) for each in secrets]
    return {
        "Webhook-Id": id_,
        "Webhook-Timestamp": str(int(at.timestamp())),
        "Webhook-Signature": " ".join(signatures),
    }


def test_a_message_of_the_service_is_an_event_with_its_id_type_time_and_data() -> None:
    event = verify_webhook(BODY, signed(BODY, NEW), NEW)
    assert (event.id, event.type, event.data["job"]) == ("evt_1", "job.succeeded", "jobs/7")
    assert abs(datetime.now(UTC) - event.time) < timedelta(minutes=1)


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


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"7", b'{"type": "x"}', b'{"type": "x", "data": 7}'])
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
