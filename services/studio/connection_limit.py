"""ConnectionLimit: how many connections there may be at a time. uvicorn's own refusal is plain text, and stays open."""

from collections.abc import Callable

from starlette.types import ASGIApp, Receive, Scope, Send

from services.reasons import HttpReason
from services.studio.early_refusal import refuse
from services.studio.refused_request import RefusedRequest


class ConnectionLimit:
    """An application that gets no requests on connections above the limit."""

    def __init__(self, app: ASGIApp, most: int, count: Callable[[], int]) -> None:
        """`count` returns how many connections there are."""
        self._app, self._most, self._count = app, most, count

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request."""
        app = self._app
        if self._count() > self._most:
            sentence = f"This server has {self._most} connections, the most allowed. Try again later."
            app = refuse(scope, RefusedRequest(sentence, reason=HttpReason.CONNECTIONS_FULL, status=503))
        await app(scope, receive, send)
