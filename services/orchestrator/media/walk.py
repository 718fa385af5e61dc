"""Which walker a picture file needs, by its first bytes."""

from services.orchestrator.domain import kind
from services.orchestrator.media import heif, jpeg, png, webp
from services.orchestrator.media.header import TAKEN, Header, Refused


def inspect(data: bytes) -> Header:
    """Walks a picture file.

    Raises:
        Refused: it has no accepted format, is incomplete or animated, or is beyond a limit.
    """
    match found := kind.of(data[: kind.HEAD_BYTES]):
        case kind.PNG:
            return png.walk(data)
        case kind.JPEG:
            return jpeg.walk(data)
        case kind.WEBP:
            return webp.walk(data)
        case kind.HEIC:
            return heif.walk(data, "HEIF")
        case kind.AVIF:
            return heif.walk(data, "AVIF")
    what = "is empty" if not data else f"is {found.named()}" if found else "is of no known picture format"
    raise Refused("PICTURE_FORMAT", f"{what}; send a {TAKEN} picture")
