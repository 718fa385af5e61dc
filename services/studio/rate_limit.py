"""The headers `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers) of a refusal by limits.

A limit counts money, jobs, bytes or calls, in the unit of its measure. Answers that are no refusal have no such
headers: the API says the state of all limits in one call (`/v1/usage`).
"""

import math
import re
from collections.abc import Sequence

from services.rpc.status_codes import Failure

MOST = 10
_UNSAFE = re.compile(r'[^\x20-\x7e]|["\\]')


def headers(failure: Failure) -> dict[str, str]:
    """Returns the headers; none if it was no limit that refused."""
    limits = _limits(failure)
    if not limits:
        return {}
    resets = "" if failure.retry_after_s is None else f";t={max(1, math.ceil(failure.retry_after_s))}"
    return {
        "RateLimit-Policy": ", ".join(f'"{name}";q={quota}' for name, quota, _ in limits),
        "RateLimit": ", ".join(f'"{name}";r={left}{resets}' for name, _, left in limits),
    }


def _limits(failure: Failure) -> Sequence[tuple[str, int, int]]:
    """Returns name, quota and rest of each limit that refused."""
    if failure.limits:
        return [
            (_plain(f"{each.subject} {each.measure} {each.per}"), max(0, each.limit), max(0, each.limit - each.used))
            for each in failure.limits[:MOST]
        ]
    limit = failure.metadata.get("limit", "")
    if failure.reason.endswith("_LIMIT_REACHED") and limit.isascii() and limit.isdigit():
        return [(_plain(failure.reason), int(limit), 0)]
    return []


def _plain(name: str) -> str:
    """Returns a name without characters that a text in a structured header cannot have."""
    return _UNSAFE.sub("_", name)
