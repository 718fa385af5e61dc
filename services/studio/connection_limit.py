"""ConnectionLimit: how many connections there may be at a time, and how many of them a key may keep busy.

uvicorn's own refusal is plain text, and keeps the connection open.
"""

from collections.abc import Callable

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from services.reasons import HttpReason
from services.studio.caller import BEARER
from services.studio.early_refusal import refuse
from services.studio.fair_share import FairShare
from services.studio.refused_request import RefusedRequest
from services.studio.sessions.session_cookie import SessionCookie

OF_KEY = 4
"""Requests of one key by the connections that are left for others: at most four fifths of all."""


class ConnectionLimit:
    """An application that gets no requests above the limit."""

    def __init__(self, app: ASGIApp, most: int, count: Callable[[], int], cookie: SessionCookie) -> None:
        """`count` returns how many connections there are."""
        self._app, self._most, self._count, self._cookie = app, most, count, cookie
        self._share = FairShare(most, OF_KEY)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request."""
        app, key = self._app, self._key(scope)
        try:
            if not self._share.take(key, 1) or self._count() > self._most:
                sentence = "This server has too many connections, or too many requests of your key. Try again later."
                app = refuse(scope, RefusedRequest(sentence, reason=HttpReason.CONNECTIONS_FULL, status=503))
            await app(scope, receive, send)
        finally:
            self._share.give(key, 1)

    def _key(self, scope: Scope) -> str:
        """Returns the credential of a request; empty: it has none, or it is in the URL."""
        request = Request(scope)
        if found := BEARER.fullmatch(request.headers.get("authorization", "")):
            return found[1]
        try:
            return self._cookie.token(request)
        except RefusedRequest:
            return ""
