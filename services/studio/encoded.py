"""Encoded: a text of the package that is sent as it is, or by gzip to those who take it."""

import gzip
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from services.studio import entity_tag

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


def answer(request: Request, found: tuple[Encoded, Encoded], headers: Mapping[str, str]) -> Response:
    """Returns a text, in the encoding that the client takes, or that it has it already. `found`: plain and packed."""
    plain, packed = found
    sent = packed if GZIP.search(request.headers.get("accept-encoding", "")) else plain
    given = dict(headers) | {"ETag": sent.tag, "Vary": "Accept-Encoding"}
    if entity_tag.is_known(request.headers.get("if-none-match", ""), sent.tag):
        return Response(None, 304, given)
    if sent.encoding:
        given |= {"Content-Encoding": sent.encoding}
    return Response(sent.body, 200, given, sent.media_type)
