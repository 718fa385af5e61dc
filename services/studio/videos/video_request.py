"""VideoRequest: what a request asks for, read from JSON or a form. Pure."""

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass

from services.reasons import HttpReason
from services.studio.refused_request import RefusedRequest

SIZE = re.compile(r"([1-9]\d{1,4})x([1-9]\d{1,4})")
DATA_URL = re.compile(r"data:(image/[a-z0-9.+-]{1,40});base64,", re.IGNORECASE)
DIGEST = re.compile(r"(?:assets/)?([0-9a-f]{64})")
COUNT = "num_outputs_per_prompt"
"""SGLang's benchmark always sends it. A request makes one video here."""
FIELDS = frozenset({"prompt", "model", "seconds", "size", "seed", "input_reference", COUNT})
TEXT_MOST = 20_000
HALF = re.compile("[\ud800-\udfff]")
"""Half of a surrogate pair, which has no encoding. JSON can name one, and so can some encodings of forms."""
SECONDS_LEAST = 0.001
SEED_MOST = 2**63 - 1


@dataclass(frozen=True, slots=True)
class VideoRequest:
    """The wishes of a caller. What is absent is left to the service."""

    prompt: str
    model: str = ""
    seconds: float | None = None
    size: tuple[int, int] | None = None
    """Width and height in pixels."""
    seed: int | None = None
    picture: bytes = b""
    """The first frame, to be uploaded."""
    asset: str = ""
    """The first frame, `assets/{sha256}`, uploaded before."""


def read(fields: Mapping[str, object], picture: bytes | None = None) -> VideoRequest:
    """Reads the fields of JSON or of a form; `picture` is the file of a form. Raises RefusedRequest."""
    if unknown := sorted(set(fields) - FIELDS):
        known = ", ".join(sorted(FIELDS))
        raise RefusedRequest(
            f"There is no field {unknown[0][:80]!r}; there are {known}.", reason=HttpReason.FIELD_UNKNOWN
        )
    if (count := fields.get(COUNT)) is not None and (isinstance(count, bool | float) or count not in (1, "1")):
        raise RefusedRequest("A request makes 1 video.", reason=HttpReason.FIELD_MALFORMED, param=COUNT)
    reference, asset = picture or b"", ""
    if picture is not None and not picture:
        raise RefusedRequest("The picture is empty.", reason=HttpReason.FIELD_MALFORMED, param="input_reference")
    if (given := fields.get("input_reference")) is not None:
        reference, asset = _reference(given)
    return VideoRequest(
        prompt=_text(fields, "prompt", required=True),
        model=_text(fields, "model"),
        seconds=_seconds(fields.get("seconds")),
        size=_size(fields.get("size")),
        seed=_seed(fields.get("seed")),
        picture=reference,
        asset=asset,
    )


def _text(fields: Mapping[str, object], name: str, *, required: bool = False) -> str:
    value = fields.get(name)
    if value is None and not required:
        return ""
    if not isinstance(value, str) or not value.strip() or len(value) > TEXT_MOST or HALF.search(value):
        sentence = f"Give a text of 1 to {TEXT_MOST:,} characters of Unicode."
        raise RefusedRequest(sentence, reason=HttpReason.FIELD_MALFORMED, param=name)
    return value


def _seconds(value: object) -> float | None:
    if value is None:
        return None
    try:
        seconds = float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else 0.0
    except (ValueError, OverflowError):
        seconds = 0.0
    if not SECONDS_LEAST <= seconds <= 86_400:
        raise RefusedRequest(
            "Give a length in seconds, such as '5'.", reason=HttpReason.FIELD_MALFORMED, param="seconds"
        )
    return seconds


def _size(value: object) -> tuple[int, int] | None:
    if value is None:
        return None
    if not isinstance(value, str) or not (found := SIZE.fullmatch(value)):
        raise RefusedRequest(
            "Give width and height in pixels, such as '1280x720'.", reason=HttpReason.FIELD_MALFORMED, param="size"
        )
    return int(found[1]), int(found[2])


def _seed(value: object) -> int | None:
    if value is None:
        return None
    try:
        seed = int(value) if isinstance(value, str | int) and not isinstance(value, bool) else -1
    except ValueError:
        seed = -1
    if not 0 <= seed <= SEED_MOST:
        raise RefusedRequest("Give a whole number from 0 to 2^63 - 1.", reason=HttpReason.FIELD_MALFORMED, param="seed")
    return seed


def _reference(value: object) -> tuple[bytes, str]:
    """Returns the bytes of a picture, or the name of one that was uploaded."""
    ways = "a file of a form, {'image_url': 'data:image/png;base64,…'}, or {'file_id': 'assets/…'}"
    match value:
        case {"image_url": str(url), **rest} if not rest:
            return _of_data_url(url), ""
        case {"file_id": str(name), **rest} if not rest and (found := DIGEST.fullmatch(name)):
            return b"", f"assets/{found[1]}"
    raise RefusedRequest(f"Give the picture as {ways}.", reason=HttpReason.FIELD_MALFORMED, param="input_reference")


def _of_data_url(url: str) -> bytes:
    if not (head := DATA_URL.match(url)):
        sentence = "Only data URLs are read, 'data:image/png;base64,…'. Nothing is fetched from other hosts."
        raise RefusedRequest(sentence, reason=HttpReason.URL_UNSUPPORTED, param="input_reference.image_url")
    try:
        picture = base64.b64decode(url[head.end() :], validate=True)
    except (binascii.Error, ValueError):
        picture = b""
    if not picture:
        sentence = "The data URL has no picture in base64."
        raise RefusedRequest(sentence, reason=HttpReason.FIELD_MALFORMED, param="input_reference.image_url")
    return picture
