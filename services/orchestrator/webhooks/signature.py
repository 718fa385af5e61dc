"""The headers of a webhook, in the form of Standard Webhooks."""

from collections.abc import Sequence
from datetime import datetime

from standardwebhooks import Webhook


def headers(delivery: str, now: datetime, secrets: Sequence[str], body: str) -> dict[str, str]:
    """Returns the headers of one try, with a signature for each secret, so that receivers may have either.

    `secrets` have the form `whsec_…`; `now` is in UTC, and is signed too: a receiver refuses what is old.
    """
    # The library takes the fields of the time as those of UTC.
    signatures = (Webhook(secret).sign(delivery, now, body) for secret in secrets)
    return {
        "content-type": "application/json",
        "user-agent": "i2v-webhooks",
        "webhook-id": delivery,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(signatures),
    }
