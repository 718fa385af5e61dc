"""Verifies that a webhook came from the service: what a receiver calls first. Needs no client and no connection.

The form is that of Standard Webhooks: the headers `webhook-id`, `webhook-timestamp` and `webhook-signature`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from google.protobuf import json_format
from i2v.v1 import job_pb2
from standardwebhooks.webhooks import Webhook, WebhookVerificationError


class InvalidWebhook(ValueError):
    """The message is not from the service, was changed, or is more than five minutes old. Answer with status 400."""


@dataclass(frozen=True, slots=True)
class WebhookEvent:
    """A verified message."""

    id: str
    """The same at every delivery of the same event: keep those that were handled, and leave out repeats."""
    type: str
    """Such as `job.succeeded`."""
    time: datetime
    """When it happened."""
    data: Mapping[str, Any]
    """What happened, in JSON."""
    job: str = ""
    """The job that it is about, `jobs/{id}`; empty: none."""
    sequence: int = 0
    """Number of the job's event; 0: none."""
    job_event: job_pb2.JobEvent | None = None
    """The job's event, as `watch` yields it."""


def verify_webhook(payload: bytes | str, headers: Mapping[str, str], secrets: str | Sequence[str]) -> WebhookEvent:
    """Returns the event of a request that was signed with one of the secrets, such as the new and the old one.

    `payload` is the body as it came: JSON that was read and written again has another signature. Names of headers may
    have any case. Signatures are compared in constant time. Raises InvalidWebhook, and ValueError for a bad secret.
    """
    found = {name.lower(): value for name, value in headers.items()}
    signers = [Webhook(each) for each in ([secrets] if isinstance(secrets, str) else secrets)]
    why = "there is no secret to verify it with"
    for signer in signers:
        try:
            body = signer.verify(payload, found)
        except (WebhookVerificationError, ValueError) as error:  # ValueError: no base64, no UTF-8, no JSON
            why = str(error)
        else:
            return _event(body, found)
    raise InvalidWebhook(f"the webhook cannot be trusted: {why}")


def _event(body: Any, headers: Mapping[str, str]) -> WebhookEvent:
    try:
        data = dict(body["data"])
        time = datetime.fromisoformat(body["timestamp"])
        job = None
        if (said := data.get("event")) is not None:
            job = json_format.ParseDict(said, job_pb2.JobEvent(), ignore_unknown_fields=True)
        of_job = str(data.get("job", "")), int(data.get("sequence", 0))
        return WebhookEvent(headers["webhook-id"], str(body["type"]), time, data, *of_job, job)
    except (KeyError, TypeError, ValueError, json_format.ParseError) as error:
        raise InvalidWebhook(f"the webhook is no event of this service: {error}") from None
