"""The bodies of requests: JSON, or a form with a file. Each is bounded while it is read, and so are all together."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager

from python_multipart.exceptions import MultipartParseError
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from services import bounded_json
from services.reasons import HttpReason
from services.studio.refused_request import RefusedRequest
from services.studio.videos.video_request import HALF

BYTES_MOST = 15 * 2**20
"""A picture of 10 MB in base64, and the fields around it."""
BYTES_AT_A_TIME = 8 * BYTES_MOST
"""Of all bodies that are held. What is read from them needs twice as much: a quarter of a gigabyte."""
FIELDS_MOST = 20
FIELD_BYTES = 100_000
SECONDS_MOST = 60.0
"""For a whole body."""
FILE = "input_reference"


Fields = tuple[Mapping[str, object], bytes | None]
"""The fields, and the file of a form."""


class Bodies:
    """The bodies that are held now."""

    def __init__(self, most: int = BYTES_AT_A_TIME) -> None:
        self._most, self._held = most, 0

    @asynccontextmanager
    async def of(self, request: Request) -> AsyncIterator[Fields]:
        """Reads the body of a request, and holds it during the block. Raises RefusedRequest."""
        held = 0

        async def chunks() -> AsyncGenerator[bytes, None]:
            nonlocal held
            if int(request.headers.get("content-length", "0")) > BYTES_MOST:
                raise _too_large()
            async for chunk in request.stream():
                held += len(chunk)
                self._held += len(chunk)
                if held > BYTES_MOST:
                    raise _too_large()
                if self._held > self._most:
                    sentence = "Too many requests with pictures arrive now. Try again in a moment."
                    raise RefusedRequest(sentence, reason=HttpReason.BODIES_FULL, status=503)
                yield chunk

        try:
            yield await _fields(request, chunks())
        finally:
            self._held -= held


def _too_large() -> RefusedRequest:
    sentence = f"The request has more than {BYTES_MOST} bytes."
    return RefusedRequest(sentence, reason=HttpReason.BODY_TOO_LARGE, status=413)


async def _fields(request: Request, chunks: AsyncGenerator[bytes, None]) -> Fields:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    try:
        async with asyncio.timeout(SECONDS_MOST):
            if kind == "application/json":
                return _of_json(b"".join([chunk async for chunk in chunks])), None
            if kind == "multipart/form-data":
                return await _of_form(request, chunks)
    except TimeoutError as error:
        sentence = f"The request took longer than {SECONDS_MOST:.0f} seconds to arrive."
        raise RefusedRequest(sentence, reason=HttpReason.BODY_SLOW, status=408) from error
    except ClientDisconnect as error:
        raise RefusedRequest("The request broke off.", reason=HttpReason.BODY_MALFORMED) from error
    sentence = "Send application/json or multipart/form-data."
    raise RefusedRequest(sentence, reason=HttpReason.CONTENT_TYPE_UNSUPPORTED, status=415)


def _of_json(body: bytes) -> Mapping[str, object]:
    try:
        value = bounded_json.strict(body)
    except ValueError as error:
        raise RefusedRequest(
            f"The body is no JSON that is read here: {error}.", reason=HttpReason.JSON_MALFORMED
        ) from error
    if not isinstance(value, dict):
        raise RefusedRequest("The body is no JSON object.", reason=HttpReason.JSON_MALFORMED)
    return value


async def _of_form(request: Request, chunks: AsyncGenerator[bytes, None]) -> Fields:
    parser = MultiPartParser(request.headers, chunks, max_files=1, max_fields=FIELDS_MOST, max_part_size=FIELD_BYTES)
    try:
        form = await parser.parse()
    except (MultiPartException, MultipartParseError, KeyError, UnicodeError) as error:
        sentence = f"The form cannot be read: {getattr(error, 'message', error)}"
        raise RefusedRequest(sentence, reason=HttpReason.FORM_MALFORMED) from error
    found: dict[str, object] = {}
    picture: bytes | None = None
    try:
        for name, value in form.multi_items():
            if HALF.search(name):
                raise RefusedRequest("A field has a name that is no Unicode.", reason=HttpReason.FORM_MALFORMED)
            if name in found or (isinstance(value, UploadFile) and picture is not None):
                raise RefusedRequest(
                    "The form has this field twice.", reason=HttpReason.FIELD_DUPLICATE, param=name[:80]
                )
            if isinstance(value, str):
                found[name] = value
                continue
            if name != FILE:
                raise RefusedRequest("The form may have one file, 'input_reference'.", reason=HttpReason.FIELD_UNKNOWN)
            picture = await value.read()
    finally:
        await form.close()
    return found, picture
