"""Webhooks that are genuine, and those that are not."""

from contextlib import AsyncExitStack
from types import MappingProxyType
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from services.errors import PreconditionFailed
from services.providers.account_status import AccountStatus
from services.providers.circuit_breaker import CircuitBreaker
from services.providers.metrics import VendorMeter, VendorMetrics
from services.providers.submissions import Submissions
from services.providers.task import Task
from services.providers.task_wakeups import TaskWakeups
from services.providers.vendor import Charge, Failed
from services.providers.vendor_model import Model
from services.providers.webhook_verification import Webhooks, is_genuine, signature

BODY = b'{"id":"task-1"}'
NOW = 1_800_000_000


def headers(**changes: str) -> dict[str, str]:
    given = {"webhook-id": "hook-1", "webhook-timestamp": str(NOW)}
    given |= {name.replace("_", "-"): value for name, value in changes.items()}
    signed = signature("secret", given["webhook-id"], given["webhook-timestamp"], BODY)
    return {"webhook-signature": signed, **given}


def test_a_signature_is_of_id_time_and_body() -> None:
    # From `openssl dgst -sha256 -hmac secret` over `hook-1.1800000000.{"id":"task-1"}`.
    expected = "v3,e4bac4abb2cfe0c33b1c13e2320dabcb1c6516821c7435e25b70a68177c8b5a4"
    assert signature("secret", "hook-1", "1800000000", BODY) == expected
    assert signature("whsec_secret", "hook-1", "1800000000", BODY) == expected


@pytest.mark.parametrize("age_s", [0, 300, -300])
def test_a_signed_and_recent_webhook_is_genuine(age_s: int) -> None:
    assert is_genuine("secret", headers(), BODY, NOW + age_s)
    assert is_genuine("secret", headers() | {"webhook-signature": "v3,00 " + headers()["webhook-signature"]}, BODY, NOW)


@pytest.mark.parametrize("age_s", [301, -301])
def test_an_old_or_future_webhook_is_not_genuine(age_s: int) -> None:
    assert not is_genuine("secret", headers(), BODY, NOW + age_s)


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"webhook-signature": ""},
        {"webhook-signature": "v3,"},
        {"webhook-signature": "v3,é"},
        headers() | {"webhook-id": "hook-2"},
        headers() | {"webhook-id": ""},
        headers() | {"webhook-id": "x" * 257},
        headers() | {"webhook-timestamp": str(NOW + 1)},
        headers() | {"webhook-timestamp": "soon"},
        headers() | {"webhook-timestamp": "9" * 13},
        headers() | {"webhook-timestamp": "١"},
        headers() | {"webhook-signature": headers()["webhook-signature"].replace("v3,", "v1,")},
    ],
)
def test_an_unsigned_or_changed_webhook_is_not_genuine(changed: dict[str, str]) -> None:
    assert not is_genuine("secret", changed, BODY, NOW)


def test_a_webhook_with_another_body_or_secret_is_not_genuine() -> None:
    assert not is_genuine("secret", headers(), BODY + b" ", NOW)
    assert not is_genuine("another", headers(), BODY, NOW)
    assert not is_genuine("", headers(), BODY, NOW)


class Answering:
    """A vendor that answers a submission with an id, or with an error."""

    models = MappingProxyType({"m": Model(path="vendors/m", prompt_characters=100)})

    def __init__(self, answer: str | Failed) -> None:
        self.answer = answer

    async def submit(self, task: Task) -> str:
        if isinstance(self.answer, Failed):
            raise self.answer
        return self.answer


def remembering(answer: str | Failed = "task-0", **options: int) -> tuple[Submissions, Webhooks]:
    meter = VendorMeter(VendorMetrics(CollectorRegistry()), "test")
    breaker = CircuitBreaker(lambda: NOW, meter, failures=3, rest_s=30)
    vendor: Any = Answering(answer)
    found = Submissions(vendor, breaker, AccountStatus(lambda: NOW, lambda: "the-key"), meter, **options)
    return found, Webhooks("secret", lambda: NOW, TaskWakeups(), found, meter)


async def submitted(submissions: Submissions, submission_id: str = "s-1") -> None:
    await submissions.submit(Task(submission_id=submission_id, model="m"), AsyncExitStack())


async def test_a_webhook_reports_a_submission_that_is_unknown_to_this_process() -> None:
    submissions, webhooks = remembering()
    assert webhooks.take("/hooks/s%2D1?x=y", headers(), BODY) == 204
    assert submissions.ref("s-1") == "task-1"
    assert submissions.ref("s-2") is None
    with pytest.raises(PreconditionFailed):
        await submitted(submissions)


async def test_a_webhook_replaces_a_lost_answer_and_never_changes_an_answer() -> None:
    submissions, webhooks = remembering()
    await submitted(submissions)
    assert webhooks.take("/hooks/s-1", headers(), BODY) == 204
    assert submissions.ref("s-1") == "task-0"
    submissions, webhooks = remembering(Failed("lost", reason="ANSWER_LOST", charge=Charge.UNKNOWN))
    with pytest.raises(Failed):
        await submitted(submissions)
    assert submissions.ref("s-1") is None
    webhooks.take("/hooks/s-1", headers(), BODY)
    submissions.record_webhook("s-1", "task-2")
    assert submissions.ref("s-1") == "task-1"


@pytest.mark.parametrize("path", ["/", "", "/hooks/" + "x" * 300, "/hooks/" + "%20" * 300])
def test_the_memory_of_webhook_reports_is_limited(path: str) -> None:
    submissions, webhooks = remembering(remembered=2)
    assert webhooks.take(path, headers(), BODY) == 204
    for name in ("s-1", "s-2", "s-3"):
        webhooks.take(f"/hooks/{name}", headers(), BODY)
    assert [submissions.ref(name) for name in ("s-1", "s-2", "s-3")] == [None, "task-1", "task-1"]
    assert submissions.ref(path.rpartition("/")[2]) is None
