"""SessionCookie: the cookie that has the token of a session. No script can read it, and no other site sends it."""

import re
from dataclasses import dataclass
from datetime import datetime

from starlette.requests import Request
from starlette.responses import Response

from services.reasons import HttpReason
from services.studio.refused_request import RefusedRequest

TOKEN = re.compile(r"i2vs_[A-Za-z0-9_-]{43}")
"""Only what may be a session's token goes to the API as a credential."""


@dataclass(frozen=True, slots=True)
class SessionCookie:
    """The cookie of a deployment."""

    secure: bool
    """Whether browsers come by HTTPS alone. Then no other host of the domain can set the cookie (`__Host-`)."""

    @property
    def name(self) -> str:
        """The cookie's name."""
        return "__Host-i2v_session" if self.secure else "i2v_session"

    def token(self, request: Request) -> str:
        """Returns the token of a request; empty: it has none. Raises RefusedRequest if it has two."""
        found = [
            value.strip()
            for header in request.headers.getlist("cookie")
            for name, equals, value in (pair.partition("=") for pair in header.split(";"))
            if equals and name.strip() == self.name
        ]
        if len(found) > 1:
            sentence = f"The cookie {self.name} came twice. Delete the cookies of this site, and sign in."
            raise RefusedRequest(sentence, reason=HttpReason.COOKIE_REPEATED)
        return found[0] if found and TOKEN.fullmatch(found[0]) else ""

    def put(self, response: Response, token: str, expire_time: datetime) -> None:
        """Gives the browser the cookie until a time."""
        response.set_cookie(
            self.name, token, expires=expire_time, path="/", secure=self.secure, httponly=True, samesite="strict"
        )

    def remove(self, response: Response) -> None:
        """Takes the cookie from the browser."""
        response.delete_cookie(self.name, path="/", secure=self.secure, httponly=True, samesite="strict")
