"""The body of a request for a video: JSON, or a form with a file."""

from collections.abc import Mapping

from python_multipart.exceptions import MultipartParseError
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from services.reasons import HttpReason
from services.studio.refused_request import RefusedRequest
from services.studio.request_body import Chunks, content_type, json_object
from services.studio.videos.video_request import HALF

FIELDS_MOST = 20
FIELD_BYTES = 100_000
FILE = "input_reference"


Fields = tuple[Mapping[str, object], bytes | None]
"""The fields, and the file of a form."""


async def fields(request: Request, chunks: Chunks) -> Fields:
    """Returns what a body says. Raises RefusedRequest."""
    match content_type(request):
        case "application/json":
            return json_object(b"".join([chunk async for chunk in chunks])), None
        case "multipart/form-data":
            return await _of_form(request, chunks)
    sentence = "Send application/json or multipart/form-data."
    raise RefusedRequest(sentence, reason=HttpReason.CONTENT_TYPE_UNSUPPORTED, status=415)


async def _of_form(request: Request, chunks: Chunks) -> Fields:
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
