"""Webhooks of the vendor, if their signature is genuine. They only start the next poll early: its answer decides.

The signature is `v3,` and the hexadecimal HMAC-SHA256 of `{id}.{timestamp}.{body}`, keyed by the secret without
its `whsec_`; one that is more than five minutes old, or from the future by as much, is refused.

The operator configures the secret, or the provider requests it from the vendor in the background: the vendor may be
down when this process starts, and may change the secret later. Webhooks that could not be checked are kept until then.
"""

import asyncio
import hashlib
import hmac
import logging
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from services.known_secrets import remember
from services.providers.answer_json import parsed
from services.providers.metrics import VendorMeter
from services.providers.submissions import Submissions
from services.providers.system_clock import Clock
from services.providers.task_polling import PollSchedule, pause_after_s
from services.providers.task_wakeups import TaskWakeups
from services.providers.vendor import REF, Vendor, VendorRequestFailed
from services.providers.vendor_client import dig

log = logging.getLogger(__name__)

MAX_AGE_S = 300
VERSION = "v3"
ID_CHARACTERS = 256
UNCHECKED = 100
UNCHECKED_BYTES = 64 * 1024
"""Webhooks that are kept until the secret is known, and their size limit: anyone may send them."""
HEADERS = ("webhook-id", "webhook-timestamp", "webhook-signature")


def signature(secret: str, webhook_id: str, timestamp: str, body: bytes) -> str:
    """Returns the value of `webhook-signature`."""
    signed = f"{webhook_id}.{timestamp}.".encode() + body
    return f"{VERSION},{hmac.new(secret.removeprefix('whsec_').encode(), signed, hashlib.sha256).hexdigest()}"


def is_genuine(secret: str, headers: Mapping[str, str], body: bytes, now: float) -> bool:
    """Whether a webhook is from the holder of the secret, and recent. Header names are in lower case."""
    webhook_id, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    given = headers.get("webhook-signature", "")
    if not secret or not 1 <= len(webhook_id) <= ID_CHARACTERS:
        return False
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
        return False
    if abs(now - int(timestamp)) > MAX_AGE_S:
        return False
    expected = signature(secret, webhook_id, timestamp, body)
    # There may be several signatures while a secret is being changed.
    return any(hmac.compare_digest(expected.encode(), each.encode()) for each in given.split(" ")[:8])


@dataclass(frozen=True, slots=True)
class _Unchecked:
    """A webhook with a signature that does not match the secret."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    received_at: float


class Webhooks:
    """Receives webhooks: wakes the watchers of the task, and records the task of the submission."""

    def __init__(
        self, secret: str, clock: Clock, wakeups: TaskWakeups, submissions: Submissions, meter: VendorMeter
    ) -> None:
        self._secret = secret
        self._clock = clock
        self._wakes = wakeups
        self._submissions = submissions
        self._meter = meter
        self._unchecked: deque[_Unchecked] = deque(maxlen=UNCHECKED)
        self._secret_doubted = asyncio.Event()

    async def fetch_secret(self, vendor: Vendor, schedule: PollSchedule) -> None:
        """Requests the secret from the vendor until it answers, and again after webhooks with a wrong signature."""
        while True:
            self._secret = await _requested_secret(vendor, schedule)
            self._secret_doubted.clear()
            unchecked, self._unchecked = self._unchecked, deque(maxlen=UNCHECKED)
            for each in unchecked:
                if is_genuine(self._secret, each.headers, each.body, each.received_at):
                    self._record(each.path, each.body)
            await asyncio.sleep(schedule.longest_pause_s)  # anyone may send webhooks that are not genuine
            await self._secret_doubted.wait()

    def take(self, path: str, headers: Mapping[str, str], body: bytes) -> int:
        """Returns the HTTP status of the answer.

        204; 401 if it is not genuine; 503 while the secret is not known; 400 if it names no task.
        """
        now = self._clock()
        if not is_genuine(self._secret, headers, body, now):
            if len(body) <= UNCHECKED_BYTES:
                kept = {name: headers.get(name, "") for name in HEADERS}
                self._unchecked.append(_Unchecked(path, kept, body, now))
            self._secret_doubted.set()
            return 401 if self._secret else 503
        return self._record(path, body)

    def _record(self, path: str, body: bytes) -> int:
        event = parsed(body)
        ref, path_of_model = dig(event, "id", kind=str), dig(event, "model", kind=str) or ""
        if ref is None or not REF.fullmatch(ref):
            return 400
        submission_id = unquote(path.partition("?")[0].rstrip("/").rpartition("/")[2])
        # The URL is the one that we sent to the vendor with the submission, but it is not signed: so it may add a task
        # that is not known yet, and never change the vendor's own answer. This process may not know the submission at
        # all: another one has made it, or this one did before a restart.
        if 1 <= len(submission_id) <= ID_CHARACTERS and not self._submissions.record_webhook(
            submission_id, ref, path_of_model
        ):
            self._meter.mixed_up("webhook")
            log.error("a webhook is for another task", extra={"submission_id": submission_id, "external_ref": ref})
            return 204
        self._wakes.wake(ref)
        return 204


async def _requested_secret(vendor: Vendor, schedule: PollSchedule) -> str:
    failures = 0
    while True:
        try:
            secret = await vendor.webhook_secret()
        except VendorRequestFailed as failed:
            failures += 1
            fields = {"cause": str(failed), "failures": failures}
            log.warning("the vendor did not give the webhook secret; it is requested again", extra=fields)
            await asyncio.sleep(pause_after_s(schedule, failures, failed.retry_delay_s))
        else:
            remember(secret)
            if failures:
                log.info("the webhook secret is known")
            return secret
