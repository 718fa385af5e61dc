"""`/openapi.json` and `/docs`: what there is, for programs and for people. The same for everyone, without a key."""

import gzip
import hashlib
import json
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from services.studio import entity_tag
from services.studio.openapi import page
from services.studio.openapi.page_style import HEADERS

DOCUMENT = Path(__file__).with_name("openapi.json")

GZIP = re.compile(r"(?:^|,)\s*gzip\s*(?:,|$|;\s*q=(?!0(?:\.0*)?\s*(?:,|$)))", re.IGNORECASE)
"""Of `Accept-Encoding`: gzip is named, and its weight is not 0."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """A text in one encoding."""

    body: bytes
    media_type: str
    encoding: str = ""

    @property
    def tag(self) -> str:
        """Its entity tag, with the quotes."""
        return f'"{hashlib.sha256(self.body).hexdigest()[:32]}"'

    def packed(self) -> "Encoded":
        """Returns it by gzip."""
        return Encoded(gzip.compress(self.body, mtime=0), self.media_type, "gzip")


class Descriptions:
    """Answers with the document and the page. Each is read or made when it is first asked for, and kept."""

    def routes(self) -> list[Route]:
        """Returns what is answered."""
        return [
            Route("/openapi.json", self.openapi, methods=["GET"]),
            Route("/docs", self.docs, methods=["GET"]),
        ]

    async def openapi(self, request: Request) -> Response:
        """Returns the document."""
        return _answer(request, self._document)

    async def docs(self, request: Request) -> Response:
        """Returns the page."""
        return _answer(request, self._page)

    @cached_property
    def _document(self) -> tuple[Encoded, Encoded]:
        plain = Encoded(DOCUMENT.read_bytes(), "application/json")
        return plain, plain.packed()

    @cached_property
    def _page(self) -> tuple[Encoded, Encoded]:
        document = json.loads(self._document[0].body)
        plain = Encoded(page.html_of(document).encode(), "text/html; charset=utf-8")
        return plain, plain.packed()


def _answer(request: Request, found: tuple[Encoded, Encoded]) -> Response:
    plain, packed = found
    sent = packed if GZIP.search(request.headers.get("accept-encoding", "")) else plain
    headers = HEADERS | {"ETag": sent.tag, "Vary": "Accept-Encoding"}
    if entity_tag.is_known(request.headers.get("if-none-match", ""), sent.tag):
        return Response(None, 304, headers)
    if sent.encoding:
        headers |= {"Content-Encoding": sent.encoding}
    return Response(sent.body, 200, headers, sent.media_type)
