"""What a vendor says by webhook, if it was the vendor who said it. It only makes us look sooner: looks are the truth.

The signature is `v3,` and the hexadecimal HMAC-SHA256 of `{id}.{timestamp}.{body}`, keyed by the secret as it is, but
without its `whsec_`; what is older than five minutes, or from the future by as much, is refused.

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

from services.providers.metrics import VendorMeter
from services.providers.submissions import Submissions
from services.providers.system_clock import Clock
from services.providers.task_polling import PollSchedule, pause_after_s
from services.providers.task_wakeups import TaskWakeups
from services.providers.vendor import REF, Troubled, Vendor
from services.providers.vendor_client import dig, parsed

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
    """Whether a webhook is from the holder of the secret, and not an old one again. Header names are in lower case."""
    webhook_id, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    given = headers.get("webhook-signature", "")
    if not secret or not 1 <= len(webhook_id) <= ID_CHARACTERS:
        return False
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
        return False
    if abs(now - int(timestamp)) > MAX_AGE_S:
        return False
    expected = signature(secret, webhook_id, timestamp, body)
    # Several signatures may stand side by side while a secret is being changed.
    return any(hmac.compare_digest(expected.encode(), each.encode()) for each in given.split(" ")[:8])


@dataclass(frozen=True, slots=True)
class _Unchecked:
    """A webhook with a signature that does not match the secret."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    came: float


class Webhooks:
    """Takes webhooks in: wakes who watches the task, and learns which task a submission has become."""

    def __init__(
        self, secret: str, clock: Clock, wakes: TaskWakeups, submissions: Submissions, meter: VendorMeter
    ) -> None:
        self._secret = secret
        self._clock = clock
        self._wakes = wakes
        self._submissions = submissions
        self._meter = meter
        self._unchecked: deque[_Unchecked] = deque(maxlen=UNCHECKED)
        self._doubted = asyncio.Event()

    async def learn(self, vendor: Vendor, rhythm: PollSchedule) -> None:
        """Requests the secret from the vendor until it answers, and again after webhooks with a wrong signature."""
        while True:
            self._secret = await _asked(vendor, rhythm)
            self._doubted.clear()
            unchecked, self._unchecked = self._unchecked, deque(maxlen=UNCHECKED)
            for each in unchecked:
                if is_genuine(self._secret, each.headers, each.body, each.came):
                    self._note(each.path, each.body)
            await asyncio.sleep(rhythm.longest_pause_s)  # anyone may send webhooks that are not genuine
            await self._doubted.wait()

    def take(self, path: str, headers: Mapping[str, str], body: bytes) -> int:
        """Returns the HTTP status of the answer.

        204; 401 if it is not genuine; 503 while the secret is not known; 400 if it names no task.
        """
        now = self._clock()
        if not is_genuine(self._secret, headers, body, now):
            if len(body) <= UNCHECKED_BYTES:
                kept = {name: headers.get(name, "") for name in HEADERS}
                self._unchecked.append(_Unchecked(path, kept, body, now))
            self._doubted.set()
            return 401 if self._secret else 503
        return self._note(path, body)

    def _note(self, path: str, body: bytes) -> int:
        event = parsed(body)
        ref, path_of_model = dig(event, "id", kind=str), dig(event, "model", kind=str) or ""
        if ref is None or not REF.fullmatch(ref):
            return 400
        submission_id = unquote(path.partition("?")[0].rstrip("/").rpartition("/")[2])
        # The URL is the one that we gave to the vendor with the submission, but it is not part of what is signed: so it
        # may fill a gap, and never change what the vendor has answered. The gap may be another process's, or of this
        # one before it was started again: then nobody here knows the submission, and least of all its answer.
        if 1 <= len(submission_id) <= ID_CHARACTERS and not self._submissions.hear(submission_id, ref, path_of_model):
            self._meter.mixed_up("webhook")
            log.error("a webhook is for another task", extra={"submission_id": submission_id, "external_ref": ref})
            return 204
        self._wakes.wake(ref)
        return 204


async def _asked(vendor: Vendor, rhythm: PollSchedule) -> str:
    failures = 0
    while True:
        try:
            secret = await vendor.webhook_secret()
        except Troubled as trouble:
            failures += 1
            trial = {"cause": str(trouble), "failures": failures}
            log.warning("the vendor did not give the webhook secret; it is requested again", extra=trial)
            await asyncio.sleep(pause_after_s(rhythm, failures, trouble.retry_delay_s))
        else:
            if failures:
                log.info("the webhook secret is known")
            return secret
