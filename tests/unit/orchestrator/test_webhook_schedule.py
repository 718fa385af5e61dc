from datetime import UTC, datetime, timedelta

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from services.orchestrator.webhooks import signature
from services.orchestrator.webhooks.schedule import HOLD_MOST_S, PAUSES_S, SPREAD, TRIED_FOR, hold, pause

SECRET, OLDER = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_b2xkZXIgc2VjcmV0IG9mIHRoZSB0ZXN0cw=="
BODY = '{"type":"job.succeeded","data":{"prompt":"über"}}'


def test_pauses_grow_from_seconds_to_hours_and_end_after_about_a_day() -> None:
    assert sorted(PAUSES_S) == list(PAUSES_S)
    assert timedelta(hours=23) < TRIED_FOR < timedelta(days=1)
    assert pause("evt_1", len(PAUSES_S) + 1, TRIED_FOR) is None


def test_a_delivery_is_not_given_up_before_a_day_even_if_it_was_tried_more_often() -> None:
    shortly = timedelta(minutes=10)
    last = pause("evt_1", len(PAUSES_S) + 5, shortly)
    assert last is not None and last >= timedelta(seconds=PAUSES_S[-1])


def test_what_failed_together_comes_again_at_different_times() -> None:
    pauses = {pause(f"evt_{number}", 5, timedelta(0)) for number in range(100)}
    assert len(pauses) > 90
    low, high = timedelta(seconds=PAUSES_S[4]), timedelta(seconds=PAUSES_S[4] * (1 + SPREAD))
    assert all(each is not None and low <= each <= high for each in pauses)


def test_an_endpoint_that_fails_again_and_again_is_left_alone_for_minutes_at_most() -> None:
    assert [hold(failures) for failures in (0, 1, 2)] == [None, None, None]
    held = [hold(failures) for failures in range(3, 60)]
    assert held[0] == timedelta(seconds=5)
    assert held[-1] == timedelta(seconds=HOLD_MOST_S)


def test_the_library_of_receivers_takes_our_signature() -> None:
    headers = signature.headers("evt_1", datetime.now(UTC), [SECRET], BODY)
    assert Webhook(SECRET).verify(BODY, headers)["type"] == "job.succeeded"
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(BODY.replace("succeeded", "failed"), headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(BODY, headers | {"webhook-id": "evt_2"})


def test_during_a_rotation_a_receiver_may_have_either_secret() -> None:
    headers = signature.headers("evt_1", datetime.now(UTC), [SECRET, OLDER], BODY)
    for secret in (SECRET, OLDER):
        Webhook(secret).verify(BODY, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook("whsec_" + "QUJD" * 8).verify(BODY, headers)


def test_an_old_webhook_cannot_be_sent_again_by_another() -> None:
    headers = signature.headers("evt_1", datetime.now(UTC) - timedelta(minutes=6), [SECRET], BODY)
    with pytest.raises(WebhookVerificationError, match="too old"):
        Webhook(SECRET).verify(BODY, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(BODY, headers | {"webhook-timestamp": str(int(datetime.now(UTC).timestamp()))})
