"""Caller: who calls over HTTP. The API alone decides what the credential may do."""

import re
from dataclasses import dataclass

from starlette.requests import Request

from services.reasons import CallReason
from services.studio.refused_request import RefusedRequest
from services.studio.sessions.own_page import demand_own_page
from services.studio.sessions.session_cookie import SessionCookie

BEARER = re.compile(r"Bearer +([\x21-\x7e]{1,8192})", re.IGNORECASE)
USER = re.compile(r"[\x20-\x7e]{1,128}")


@dataclass(frozen=True, slots=True)
class Caller:
    """The metadata of a caller's calls, the credential first."""

    metadata: tuple[tuple[str, str], ...]

    @property
    def credential(self) -> str:
        """The key or token, the same for all users of it."""
        return self.metadata[0][1]

    def __repr__(self) -> str:
        return "<Caller>"


def caller(request: Request) -> Caller:
    """Returns the caller of a request. Raises RefusedRequest without a credential, or with two.

    Without a header `Authorization` the cookie of a session is the credential, if a page of ours makes the request.
    """
    for name in ("authorization", "i2v-user"):
        if len(request.headers.getlist(name)) > 1:
            raise RefusedRequest(f"Send the header {name} once.", reason=CallReason.METADATA_REPEATED)
    given = request.headers.get("authorization")
    found = BEARER.fullmatch(given or "")
    token = found[1] if found else _of_session(request) if given is None else ""
    if not token:
        sentence = "Send your key as 'Authorization: Bearer <key>', or sign in to the page."
        raise RefusedRequest(sentence, reason=CallReason.API_KEY_MISSING, status=401)
    metadata = [("authorization", f"Bearer {token}")]
    if user := request.headers.get("i2v-user", ""):
        if not USER.fullmatch(user):
            sentence = "The header I2V-User has 1 to 128 characters of ASCII."
            raise RefusedRequest(sentence, reason=CallReason.USER_MALFORMED)
        metadata.append(("i2v-user", user))
    return Caller(tuple(metadata))


def _of_session(request: Request) -> str:
    """Returns the token of the session's cookie; empty: there is none. Raises RefusedRequest."""
    cookie: SessionCookie | None = getattr(request.app.state, "session_cookie", None) if "app" in request else None
    if cookie is None or not (token := cookie.token(request)):
        return ""
    demand_own_page(request, secure=cookie.secure)
    return token
