"""Verifies that a webhook came from the service: what a receiver calls first. Needs no client and no connection.

The form is that of Standard Webhooks: the headers `webhook-id`, `webhook-timestamp` and `webhook-signature`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

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
    """When it was sent."""
    data: Mapping[str, Any]
    """What happened, in JSON."""


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
        sent = datetime.fromtimestamp(float(headers["webhook-timestamp"]), UTC)
        return WebhookEvent(headers["webhook-id"], str(body["type"]), sent, dict(body["data"]))
    except (KeyError, TypeError, ValueError):
        raise InvalidWebhook("the webhook is none of this service: it has no type and no data") from None
