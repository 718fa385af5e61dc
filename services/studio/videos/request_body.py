"""The body of a request: JSON, or a form with a file. Both are bounded before they are read."""

import asyncio
from collections.abc import AsyncGenerator, Mapping

from python_multipart.exceptions import MultipartParseError
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from services import bounded_json
from services.reasons import HttpReason
from services.studio.videos.refused_request import RefusedRequest

BYTES_MOST = 15 * 2**20
"""A picture of 10 MB in base64, and the fields around it."""
FIELDS_MOST = 20
FIELD_BYTES = 100_000
SECONDS_MOST = 60.0
"""For a whole body."""
FILE = "input_reference"


async def fields(request: Request) -> tuple[Mapping[str, object], bytes | None]:
    """Returns the fields, and the file of a form. Raises RefusedRequest."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    try:
        async with asyncio.timeout(SECONDS_MOST):
            if kind == "application/json":
                return _of_json(b"".join([chunk async for chunk in _bounded(request)])), None
            if kind == "multipart/form-data":
                return await _of_form(request)
    except TimeoutError as error:
        sentence = f"The request took longer than {SECONDS_MOST:.0f} seconds to arrive."
        raise RefusedRequest(sentence, reason=HttpReason.BODY_SLOW, status=408) from error
    except ClientDisconnect as error:
        raise RefusedRequest("The request broke off.", reason=HttpReason.BODY_MALFORMED) from error
    sentence = "Send application/json or multipart/form-data."
    raise RefusedRequest(sentence, reason=HttpReason.CONTENT_TYPE_UNSUPPORTED, status=415)


async def _bounded(request: Request) -> AsyncGenerator[bytes, None]:
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > BYTES_MOST:
            raise RefusedRequest(
                f"The request has more than {BYTES_MOST} bytes.", reason=HttpReason.BODY_TOO_LARGE, status=413
            )
        yield chunk


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


async def _of_form(request: Request) -> tuple[Mapping[str, object], bytes | None]:
    parser = MultiPartParser(
        request.headers, _bounded(request), max_files=1, max_fields=FIELDS_MOST, max_part_size=FIELD_BYTES
    )
    try:
        form = await parser.parse()
    except (MultiPartException, MultipartParseError, KeyError, UnicodeError) as error:
        sentence = f"The form cannot be read: {getattr(error, 'message', error)}"
        raise RefusedRequest(sentence, reason=HttpReason.FORM_MALFORMED) from error
    found: dict[str, object] = {}
    picture: bytes | None = None
    try:
        for name, value in form.multi_items():
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
