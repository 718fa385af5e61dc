"""Cross-origin requests (CORS) to `/v1`, from the pages of chosen origins.

The cookie of a session counts for our own pages alone, so credentials are never allowed: another page must have a key
or a token itself.
"""

import re
from collections.abc import Sequence

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
REQUEST_HEADERS = (
    "Authorization",
    "Content-Digest",
    "Content-Type",
    "I2V-User",
    "Idempotency-Key",
    "If-Match",
    "If-None-Match",
    "Last-Event-ID",
    "Range",
    "Repr-Digest",
    "Upload-Complete",
    "Upload-Length",
    "Upload-Offset",
)
RESPONSE_HEADERS = (
    "Accept-Ranges",
    "Content-Disposition",
    "Content-Range",
    "ETag",
    "Link",
    "Location",
    "RateLimit",
    "RateLimit-Policy",
    "Retry-After",
    "Upload-Complete",
    "Upload-Length",
    "Upload-Limit",
    "Upload-Offset",
)
SECONDS, LIVE_SECONDS = 600, 86_400
"""For which a browser keeps the answer to a preflight."""
LIVE = re.compile(r"/v1/videos/[^/]+/live[./]")


class CrossOrigin:
    """Answers preflights of `/v1`, and lets pages of the origins read its answers.

    A live URL has its credential in itself: a page of any origin that has it may use it, and one that has none learns
    nothing. A request for live playback with a key is one like any other.
    """

    def __init__(self, app: ASGIApp, origins: Sequence[str]) -> None:
        """`*` among the origins is any."""
        self._app = app
        self._of_live = CORSMiddleware(
            app, allow_origins=("*",), allow_methods=("GET", "HEAD"), allow_headers=("Range",), max_age=LIVE_SECONDS
        )
        self._of_api = app
        if origins:
            self._of_api = CORSMiddleware(
                app,
                allow_origins=origins,
                allow_methods=METHODS,
                allow_headers=REQUEST_HEADERS,
                expose_headers=RESPONSE_HEADERS,
                max_age=SECONDS,
            )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request."""
        app = self._app
        if LIVE.match(scope["path"]) and b"token=" in scope["query_string"]:
            app = self._of_live
        elif scope["path"].startswith("/v1/"):
            app = self._of_api
        await app(scope, receive, send)
