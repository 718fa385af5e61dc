"""What an HTTP error of an OpenAI-compatible endpoint means.

Endpoints agree on the status and on little else, so a quota that is used up differs from a busy minute by the code of
the error first and by its text after that. The text goes no further than this file: it may repeat the key or the scene.
"""

import re
from collections.abc import Mapping
from enum import Enum

TEXT_CHARACTERS = 4_000

SPENT_CODES = frozenset(
    {
        "insufficient_quota",
        "insufficient_user_quota",
        "insufficient_balance",
        "insufficient_credits",
        "insufficient_funds",
        "billing_hard_limit_reached",
        "billing_not_active",
        "quota_exceeded",
        "exceeded_current_quota_error",
        "payment_required",
    }
)
BUSY_CODES = frozenset({"rate_limit_exceeded", "rate_limit_error", "engine_overloaded"})
"""With these the text may mention quotas: those of a minute."""
SPENT = re.compile(
    r"\bquota\b|\bout of credits?\b"
    r"|\b(insufficient|not enough|no remaining|exhausted)\b.{0,30}\b(credits?|balance|funds)\b"
    r"|\b(credit|account) balance\b|\bbalance\b.{0,30}\b(too low|insufficient|exhausted)\b",
    re.IGNORECASE | re.DOTALL,
)
BAD_KEY = re.compile(
    r"\bapi[ _-]?key\b.{0,40}\b(invalid|not valid|incorrect|missing|expired|not found)\b"
    r"|\b(invalid|incorrect|missing|expired)\b.{0,20}\bapi[ _-]?key\b",
    re.IGNORECASE | re.DOTALL,
)
MODERATED = re.compile(r"moderat|content[ _-]?(policy|filter)|flagged|safety", re.IGNORECASE)


class EndpointFault(Enum):
    """What an error asks for."""

    QUOTA = "The account is used up; somebody has to act."
    KEY = "The key was refused; somebody has to act."
    BUSY = "The same call may succeed soon."
    REFUSED = "This scene, or this form of answer, is not taken."
    BROKEN = "The endpoint does not do what it should; the same call fails again."


def fault_of(status: int, body: object) -> EndpointFault:
    """Returns what an HTTP status outside 2xx with this decoded body means."""
    codes, text = _said(body)
    if status == 402 or (400 <= status < 500 and codes & SPENT_CODES):
        return EndpointFault.QUOTA
    if status in (403, 429) and not codes & BUSY_CODES and SPENT.search(text):
        return EndpointFault.QUOTA
    if status == 401 or (status in (400, 403) and BAD_KEY.search(text)):
        return EndpointFault.KEY
    if status == 403:
        return EndpointFault.REFUSED if MODERATED.search(text + " ".join(codes)) else EndpointFault.KEY
    if status in (408, 409, 425, 429) or status >= 500:
        return EndpointFault.BUSY
    return EndpointFault.REFUSED if status in (400, 413, 422) else EndpointFault.BROKEN


def _said(body: object) -> tuple[set[str], str]:
    """Returns the codes and the text in an error's body of any shape."""
    if isinstance(body, list) and body:
        body = body[0]
    if isinstance(body, Mapping) and isinstance(body.get("error"), Mapping | str):
        body = body["error"]
    if not isinstance(body, Mapping):
        return set(), str(body)[:TEXT_CHARACTERS] if isinstance(body, str) else ""
    codes = {str(body[name])[:64].lower() for name in ("code", "type", "status") if isinstance(body.get(name), str)}
    message = body.get("message", "")
    return codes, message[:TEXT_CHARACTERS] if isinstance(message, str) else ""
