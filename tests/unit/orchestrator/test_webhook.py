"""What endpoints of webhooks may ask for, and their secrets."""

import base64
from datetime import timedelta

import pytest
from standardwebhooks import Webhook

from services.errors import InvalidInput
from services.orchestrator.domain import webhook
from services.orchestrator.domain.event import Body
from services.orchestrator.domain.webhook import OF_KIND, USUAL, EventType
from tests.support.builders import NOON


def test_without_types_an_endpoint_gets_all_but_fragments() -> None:
    assert webhook.event_types(()) == USUAL == tuple(each for each in EventType if "fragment" not in each)


def test_types_come_once_and_in_one_order() -> None:
    given = ("job.failed", "job.submitted", "job.failed")
    assert webhook.event_types(given) == (EventType.JOB_SUBMITTED, EventType.JOB_FAILED)


@pytest.mark.parametrize("names", [("",), ("job.*",), ("webhook.test",), ("JOB.FAILED",), ("job.failed",) * 15])
def test_what_is_no_type_and_too_many_of_them_are_refused(names: tuple[str, ...]) -> None:
    with pytest.raises(InvalidInput):
        webhook.event_types(names)


def test_every_type_of_a_job_is_of_one_kind_of_event() -> None:
    kinds: set[type] = set(Body.__args__)  # type: ignore[attr-defined]
    assert set(OF_KIND) <= kinds
    assert sorted(OF_KIND.values()) == sorted(each for each in EventType if each.startswith("job."))


def test_a_secret_is_that_of_its_endpoint_and_salt_and_has_the_form_of_standard_webhooks() -> None:
    key = b"k" * 32
    first = webhook.secret(key, 1, "salt")
    assert first == webhook.secret(key, 1, "salt")
    assert (
        len({first, webhook.secret(key, 2, "salt"), webhook.secret(key, 1, "other"), webhook.secret(b"", 1, "s")}) == 4
    )
    assert first.startswith("whsec_") and len(base64.b64decode(first.removeprefix("whsec_"))) == 32
    assert Webhook(first)


@pytest.mark.parametrize("overlap", [timedelta(seconds=-1), timedelta(days=7, seconds=1)])
def test_an_old_secret_signs_for_at_most_a_week(overlap: timedelta) -> None:
    webhook.demand_overlap(timedelta())
    webhook.demand_overlap(timedelta(days=7))
    with pytest.raises(InvalidInput):
        webhook.demand_overlap(overlap)


FAILING = webhook.Endpoint(
    key=webhook.EndpointKey("studio", "e"),
    number=1,
    url="https://old.example.com/",
    event_types=USUAL,
    description="",
    state=webhook.EndpointState.PAUSED,
    create_time=NOON,
    update_time=NOON,
    secret_time=NOON,
    failing_since=NOON,
    failures=7,
    pause_reason=webhook.PauseReason.FAILING,
    pause_time=NOON,
)


def test_failures_of_another_url_do_not_count_against_a_new_one() -> None:
    moved = webhook.moved(FAILING, "https://new.example.com/")
    assert (moved.url, moved.failing_since, moved.failures) == ("https://new.example.com/", None, 0)
    assert moved.state is webhook.EndpointState.PAUSED, "its tenant says when it works"
    assert webhook.moved(FAILING, FAILING.url) == FAILING


@pytest.mark.parametrize("state", [webhook.EndpointState.ACTIVE, webhook.EndpointState.DISABLED])
def test_an_endpoint_that_its_tenant_switches_is_not_paused_and_has_not_failed(state: webhook.EndpointState) -> None:
    switched = webhook.switched(FAILING, state)
    assert (switched.state, switched.pause_reason, switched.pause_time) == (state, None, None)
    assert (switched.failing_since, switched.failures) == (None, 0)
