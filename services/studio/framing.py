"""Framing: refuses requests whose length can be understood in two ways (RFC 9112, section 6.1), and large heads.

A proxy in front may understand such a request in the other way, and take a part of it for the next request, of another
client. h11 refuses the other cases: lengths that differ or are no numbers, and unknown encodings.
"""

from starlette.types import ASGIApp, Receive, Scope, Send

from services.reasons import HttpReason
from services.studio.early_refusal import refuse
from services.studio.refused_request import RefusedRequest

HEAD_BYTES_MOST, HEADERS_MOST = 64 * 1024, 200
"""h11 bounds only a head that does not arrive at once."""


class Framed:
    """An application that gets only requests of one length, with a head of a bounded size."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request."""
        fields, app = scope["headers"], self._app
        if len(fields) > HEADERS_MOST or sum(len(name) + len(text) for name, text in fields) > HEAD_BYTES_MOST:
            sentence = f"The request has more than {HEADERS_MOST} headers, or {HEAD_BYTES_MOST} bytes of them."
            app = refuse(scope, RefusedRequest(sentence, reason=HttpReason.HEAD_TOO_LARGE, status=431))
        elif sum(name in (b"content-length", b"transfer-encoding") for name, _ in fields) > 1:
            sentence = "Send either Content-Length or Transfer-Encoding, once."
            app = refuse(scope, RefusedRequest(sentence, reason=HttpReason.BODY_MALFORMED))
        await app(scope, receive, send)
