"""What a vendor says by webhook, if it was the vendor who said it. It only makes us look sooner: looks are the truth.

The signature is `v3,` and the hexadecimal HMAC-SHA256 of `{id}.{timestamp}.{body}`, keyed by the secret as it is, but
without its `whsec_`; what is older than five minutes, or from the future by as much, is refused.
"""

import hashlib
import hmac
import logging
from collections.abc import Mapping
from urllib.parse import unquote

from services.providers.clock import Clock
from services.providers.exchange import dig, parsed
from services.providers.metrics import VendorMeter
from services.providers.submissions import Submissions
from services.providers.vendor import REF
from services.providers.wakes import Wakes

log = logging.getLogger(__name__)

MAX_AGE_S = 300
VERSION = "v3"
ID_CHARACTERS = 256


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


class Webhooks:
    """Takes webhooks in: wakes who watches the task, and learns which task a submission has become."""

    def __init__(self, secret: str, clock: Clock, wakes: Wakes, submissions: Submissions, meter: VendorMeter) -> None:
        self._secret = secret
        self._clock = clock
        self._wakes = wakes
        self._submissions = submissions
        self._meter = meter

    def take(self, path: str, headers: Mapping[str, str], body: bytes) -> int:
        """Returns the HTTP status of the answer: 204, 401 when it is not genuine, 400 when it says nothing."""
        if not is_genuine(self._secret, headers, body, self._clock()):
            return 401
        told = parsed(body)
        ref, path_of_model = dig(told, "id", kind=str), dig(told, "model", kind=str) or ""
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
        self._wakes.ring(ref)
        return 204
