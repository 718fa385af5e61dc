"""Answers with the bytes of a file, with ranges and entity tags."""

from tools.openapi.message_schemas import Schema
from tools.openapi.operation import Answer, Parameter

BYTES: Schema = {"type": "string", "format": "binary"}
RANGE_PARAMETERS = (
    Parameter(
        name="Range",
        where="header",
        description="One range of bytes, such as `bytes=0-1023`. Several are ignored.",
        schema={"type": "string"},
    ),
    Parameter(
        name="If-Range",
        where="header",
        description="The range is sent only if this is still the ETag; otherwise the whole file.",
        schema={"type": "string"},
    ),
    Parameter(
        name="If-None-Match",
        where="header",
        description="The ETag that the client has. If it is still the same, the answer is 304.",
        schema={"type": "string"},
    ),
)
HEADERS = {"ETag": "Changes with the bytes.", "Accept-Ranges": "`bytes`.", "Content-Disposition": "The file's name."}


def file_answers(*media_types: str) -> dict[int, Answer]:
    """Returns the answers that have the file, a part of it, or nothing because the client has it."""
    contents = dict.fromkeys(media_types, BYTES)
    return {
        200: Answer(description="The file.", contents=contents, headers=HEADERS),
        206: Answer(
            description="The range of the file.",
            contents=contents,
            headers=HEADERS | {"Content-Range": "Which bytes, of how many."},
        ),
        304: Answer(description="The client has this file.", headers={"ETag": HEADERS["ETag"]}),
        416: Answer(
            description="The range begins behind the end of the file.",
            contents={"text/plain": {"type": "string"}},
            headers={"Content-Range": "`bytes */` and the size."},
        ),
    }
