"""The headers of uploads: those of resumable uploads (draft-ietf-httpbis-resumable-upload), and digests (RFC 9530)."""

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from starlette.requests import Request

from services.reasons import AssetReason, HttpReason
from services.studio.refused_request import RefusedRequest

PARTIAL = "application/partial-upload"
"""The media type of a part of a file."""
COMPLETE, OFFSET, LENGTH, LIMIT = "Upload-Complete", "Upload-Offset", "Upload-Length", "Upload-Limit"
OF_FILE, OF_CONTENT = "Repr-Digest", "Content-Digest"
_BOOLEAN = re.compile(r"\?([01])(?:;.*)?")
_INTEGER = re.compile(r"(\d{1,15})(?:;.*)?", re.ASCII)
_DIGEST = re.compile(r"([a-z*][a-z0-9_.*-]*)=:([A-Za-z0-9+/]*={0,2}):")
DIGEST_BYTES = {"sha-256": 32, "sha-512": 64}
"""The algorithms that are checked; others are ignored."""


@dataclass(frozen=True, slots=True)
class UploadHeaders:
    """What the headers of a request say. None: nothing, or nothing that can be read, which is ignored."""

    media_type: str
    content_length: int | None
    complete: bool | None
    """Whether the request has the end of the file."""
    offset: int | None
    """Of its first byte in the file."""
    length: int | None
    """Of the whole file."""
    of_file: Mapping[str, bytes] = field(default_factory=dict)
    """Digests of the whole file, by algorithm."""
    of_content: Mapping[str, bytes] = field(default_factory=dict)
    """Digests of the bytes of this request."""


def read(request: Request) -> UploadHeaders:
    """Returns the headers. Raises RefusedRequest."""
    headers = request.headers
    encoding = headers.get("content-encoding", "identity").strip().lower()
    media_type = headers.get("content-type", "").strip()
    if encoding != "identity" or media_type.lower().startswith("multipart/"):
        sentence = "Send the file as it is: as the body of the request, with its own type and no encoding."
        raise RefusedRequest(sentence, reason=HttpReason.CONTENT_TYPE_UNSUPPORTED, status=415)
    boolean = _BOOLEAN.fullmatch(headers.get(COMPLETE, "").strip())
    content_length = headers.get("content-length")
    return UploadHeaders(
        media_type=media_type,
        content_length=int(content_length) if content_length is not None else None,
        complete=boolean[1] == "1" if boolean else None,
        offset=_integer(headers.get(OFFSET, "")),
        length=_integer(headers.get(LENGTH, "")),
        of_file=_digests(headers.get(OF_FILE, ""), OF_FILE),
        of_content=_digests(headers.get(OF_CONTENT, ""), OF_CONTENT),
    )


def _integer(text: str) -> int | None:
    found = _INTEGER.fullmatch(text.strip())
    return int(found[1]) if found else None


def _digests(text: str, name: str) -> dict[str, bytes]:
    """Returns the digests of a header that can be checked. Raises RefusedRequest for one that cannot be read."""
    found: dict[str, bytes] = {}
    for each in text.split(",") if text.strip() else ():
        given = _DIGEST.fullmatch(each.strip())
        try:
            value = base64.b64decode(given[2], validate=True) if given else b""
        except binascii.Error:
            value = b""
        if not given or (given[1] in DIGEST_BYTES and len(value) != DIGEST_BYTES[given[1]]):
            sentence = "Give the digest in base64 between colons: sha-256=:…:"
            raise RefusedRequest(sentence, reason=AssetReason.CHECKSUM_MALFORMED, param=name)
        if given[1] in DIGEST_BYTES:
            found[given[1]] = value
    return found
