"""Caller: who calls over HTTP. The API alone decides what the credential may do."""

import re
from dataclasses import dataclass

from starlette.requests import Request

from services.reasons import CallReason
from services.studio.refused_request import RefusedRequest

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
    """Returns the caller of a request. Raises RefusedRequest without a credential, or with two."""
    for name in ("authorization", "i2v-user"):
        if len(request.headers.getlist(name)) > 1:
            raise RefusedRequest(f"Send the header {name} once.", reason=CallReason.METADATA_REPEATED)
    found = BEARER.fullmatch(request.headers.get("authorization", ""))
    if not found:
        sentence = "Send your key as 'Authorization: Bearer <key>'."
        raise RefusedRequest(sentence, reason=CallReason.API_KEY_MISSING, status=401)
    metadata = [("authorization", f"Bearer {found[1]}")]
    if user := request.headers.get("i2v-user", ""):
        if not USER.fullmatch(user):
            sentence = "The header I2V-User has 1 to 128 characters of ASCII."
            raise RefusedRequest(sentence, reason=CallReason.USER_MALFORMED)
        metadata.append(("i2v-user", user))
    return Caller(tuple(metadata))
