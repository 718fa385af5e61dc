"""Lingering: an answer to a request whose body is still on its way.

A connection that is closed while the client sends is reset, and the client may lose the answer. So the rest is read and
dropped for a moment.
"""

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

LINGER_S = 5.0
LINGER_BYTES = 32 * 2**20


class Lingering:
    """Answers requests, and reads what is left of their bodies."""

    def __init__(self, app: ASGIApp, linger_s: float = LINGER_S) -> None:
        self._app, self._linger_s = app, linger_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request."""
        more, begun = True, not _expects(scope)

        async def noted() -> Message:
            nonlocal more, begun
            begun = True
            message = await receive()
            more = message["type"] == "http.request" and bool(message.get("more_body", False))
            return message

        async def kept_open(message: Message) -> None:
            if message["type"] != "http.response.body" or message.get("more_body", False) or not (more and begun):
                await send(message)
                return
            await send({**message, "more_body": True})
            try:
                async with asyncio.timeout(self._linger_s):
                    left = LINGER_BYTES
                    while more and left > 0:
                        left -= len((await noted()).get("body", b""))
            except TimeoutError:
                pass
            await send({"type": "http.response.body", "body": b"", "more_body": False})

        await self._app(scope, noted, kept_open)


def _expects(scope: Scope) -> bool:
    """Returns whether the client waits for a sign before it sends the body. Without the sign there is none to read."""
    return any(name == b"expect" and value.lower() == b"100-continue" for name, value in scope["headers"])
