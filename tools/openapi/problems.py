"""Answers with problem details, which every path but those in OpenAI's shape has for its errors."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from services.reasons import AccessReason, CallReason, HttpReason
from tools.openapi.operation import Answer

PROBLEM = {"application/problem+json": {"$ref": "#/components/schemas/Problem"}}
LATER = {"Retry-After": "Seconds until a repeat may succeed."}
HEADERS: Mapping[int, Mapping[str, str]] = {
    401: {"WWW-Authenticate": "`Bearer`."},
    429: LATER
    | {"RateLimit": "What is left of each limit that refused.", "RateLimit-Policy": "Each limit that refused."},
    503: LATER,
}


@dataclass(frozen=True, slots=True)
class Error:
    """Why a request is refused: a line of the description of a status."""

    status: int
    text: str
    reasons: tuple[str, ...] = ()

    @property
    def line(self) -> str:
        """It as an item of a list in Markdown."""
        words = ", ".join(f"`{each}`" for each in self.reasons)
        return f"* {words}: {self.text}" if words else f"* {self.text}"


OF_ALL = (
    Error(
        400,
        "`violations` names each field, and what it takes.",
        (HttpReason.FIELD_MALFORMED, HttpReason.FIELD_UNKNOWN, HttpReason.FIELD_DUPLICATE),
    ),
    Error(
        401,
        "The key is missing, unknown, revoked or expired, or the token is not valid.",
        (
            CallReason.API_KEY_MISSING,
            CallReason.API_KEY_UNKNOWN,
            AccessReason.API_KEY_REVOKED,
            AccessReason.API_KEY_EXPIRED,
        ),
    ),
    Error(403, "The key or token does not have the scope.", (AccessReason.SCOPE_MISSING,)),
    Error(
        403, "Operators have suspended the tenant. It may read, download and cancel.", (AccessReason.TENANT_SUSPENDED,)
    ),
    Error(403, "The token names another user than `I2V-User`.", (AccessReason.USER_MISMATCH,)),
    Error(
        429,
        "Too many requests of this tenant, or of all tenants, are open. `metadata.limit` has the limit.",
        (CallReason.TENANT_CALLS_LIMIT_REACHED, CallReason.CALLS_LIMIT_REACHED),
    ),
    Error(500, "A fault of the service. Its log has it.", (HttpReason.API_FAILED,)),
    Error(503, "The service is busy or away. Repeat after `Retry-After`.", (HttpReason.API_UNAVAILABLE,)),
    Error(504, "The service did not answer in time.", (HttpReason.API_UNAVAILABLE,)),
)
"""What may refuse any request that needs a credential."""
OF_BODIES = (
    Error(400, "The body is no JSON object, or broke off.", (HttpReason.JSON_MALFORMED, HttpReason.BODY_MALFORMED)),
    Error(408, "The body took longer than a minute to arrive.", (HttpReason.BODY_SLOW,)),
    Error(413, "The body is too large.", (HttpReason.BODY_TOO_LARGE,)),
    Error(415, "The body is no JSON.", (HttpReason.CONTENT_TYPE_UNSUPPORTED,)),
)
OF_PATHS = (Error(404, "There is no such thing for this user.", (HttpReason.PATH_MALFORMED,)),)
"""What may refuse a path with variables."""


def answers(errors: Iterable[Error]) -> dict[int, Answer]:
    """Returns the answers by status, each with a list of what it may mean."""
    lines: dict[int, dict[str, None]] = {}
    for each in errors:
        lines.setdefault(each.status, {})[each.line] = None
    return {
        status: Answer(description="\n".join(found), contents=PROBLEM, headers=HEADERS.get(status, {}))
        for status, found in sorted(lines.items())
    }
