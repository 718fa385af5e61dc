"""The picture of `upload_image`: bytes, base64 or a data URI. Pure."""

import base64
import binascii
import re

from services.reasons import HttpReason
from services.studio.refused_request import RefusedRequest

DATA_URI = re.compile(r"data:([a-z0-9.+-]{1,40}/[a-z0-9.+-]{1,60})?(;[^,;]{1,80})*,", re.IGNORECASE)
ADDRESS = re.compile(r"[a-z][a-z0-9+.-]{0,20}:", re.IGNORECASE)
BYTES_MOST = 10 * 1000 * 1000
FIELD = "image_data"
MAGIC = {
    "image/png": (b"\x89PNG\r\n\x1a\n",),
    "image/jpeg": (b"\xff\xd8\xff",),
    "image/webp": (b"RIFF",),
}
"""How files begin, of types that browsers write into data URIs. The API looks at the whole file of any type."""


def read(value: object) -> bytes:
    """Returns the bytes of a picture. Raises RefusedRequest."""
    if isinstance(value, bytes | bytearray):
        return _bounded(bytes(value))
    if not isinstance(value, str) or not value:
        raise _malformed("Give the picture as bytes, as base64, or as a data URI.")
    found = DATA_URI.match(value, 0, 1000)
    if not found:
        if ADDRESS.match(value):
            sentence = "Only data URIs are read, 'data:image/png;base64,…'. Nothing is fetched from other hosts."
            raise RefusedRequest(sentence, reason=HttpReason.URL_UNSUPPORTED, param=FIELD)
        return _decoded(value)
    media_type, head = (found[1] or "text/plain").lower(), found[0].lower()
    if not media_type.startswith("image/") or not head.endswith(";base64,"):
        raise _malformed(f"The data URI is {media_type[:60]!r}. Give a picture in base64, 'data:image/png;base64,…'.")
    picture = _decoded(value[found.end() :])
    begins = MAGIC.get("image/jpeg" if media_type == "image/jpg" else media_type)
    if begins and not picture.startswith(begins):
        raise _malformed(f"The data URI says {media_type}, and its bytes are something else.")
    return picture


def _decoded(text: str) -> bytes:
    if len(text) > BYTES_MOST * 4 // 3 + 200_000:  # some write lines
        raise _too_large()
    try:
        picture = base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise _malformed("The text is no base64.") from error
    return _bounded(picture)


def _bounded(picture: bytes) -> bytes:
    if not picture:
        raise _malformed("The picture is empty.")
    if len(picture) > BYTES_MOST:
        raise _too_large()
    return picture


def _malformed(sentence: str) -> RefusedRequest:
    return RefusedRequest(sentence, reason=HttpReason.FIELD_MALFORMED, param=FIELD)


def _too_large() -> RefusedRequest:
    sentence = f"The picture has more than {BYTES_MOST // 1_000_000} MB."
    return RefusedRequest(sentence, reason=HttpReason.BODY_TOO_LARGE, param=FIELD)
