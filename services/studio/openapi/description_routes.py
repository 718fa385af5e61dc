"""`/openapi.json` and `/docs`: what there is, for programs and for people. The same for everyone, without a key."""

import json
from functools import cached_property
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from services.studio import encoded
from services.studio.encoded import Encoded
from services.studio.openapi import page
from services.studio.openapi.page_style import HEADERS

DOCUMENT = Path(__file__).with_name("openapi.json")


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
        return encoded.answer(request, self._document, HEADERS)

    async def docs(self, request: Request) -> Response:
        """Returns the page."""
        return encoded.answer(request, self._page, HEADERS)

    @cached_property
    def _document(self) -> tuple[Encoded, Encoded]:
        plain = Encoded(DOCUMENT.read_bytes(), "application/json")
        return plain, plain.packed()

    @cached_property
    def _page(self) -> tuple[Encoded, Encoded]:
        document = json.loads(self._document[0].body)
        plain = Encoded(page.html_of(document).encode(), "text/html; charset=utf-8")
        return plain, plain.packed()
