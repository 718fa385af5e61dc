"""Which parser a picture file needs, by its first bytes."""

from services.orchestrator.domain import file_format
from services.orchestrator.media import heif, jpeg, png, webp
from services.orchestrator.media.picture_header import TAKEN, Header, Refused
from services.reasons import AssetReason


def inspect(data: bytes) -> Header:
    """Inspects a picture file.

    Raises:
        Refused: it has no accepted format, is incomplete or animated, or is beyond a limit.
    """
    match found := file_format.of(data[: file_format.HEAD_BYTES]):
        case file_format.PNG:
            return png.inspect(data)
        case file_format.JPEG:
            return jpeg.inspect(data)
        case file_format.WEBP:
            return webp.inspect(data)
        case file_format.HEIC:
            return heif.inspect(data, "HEIF")
        case file_format.AVIF:
            return heif.inspect(data, "AVIF")
    what = "is empty" if not data else f"is {found.named()}" if found else "is of no known picture format"
    raise Refused(AssetReason.PICTURE_FORMAT, f"{what}; send a {TAKEN} picture")
