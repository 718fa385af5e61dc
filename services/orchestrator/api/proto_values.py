"""Proto <-> domain, for values and messages that more than one service uses. A malformed one is refused by field."""

import re
import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta

from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from i2v.v1 import asset_pb2, job_pb2

from services.errors import InvalidInput, InvalidSpec, Violation
from services.orchestrator.domain.asset import Asset
from services.orchestrator.domain.media_info import AudioInfo, PictureInfo, VideoInfo
from services.orchestrator.domain.price import CURRENCY
from services.orchestrator.domain.spec import Size
from services.reasons import LibraryReason, Reason, RequestReason, SpecReason

PAGE_DEFAULT = 50
PAGE_MOST = 200
PAGE_BYTES = 3 * 1024 * 1024
"""Limit of the messages on a page, in bytes: callers accept 4 MiB, and the rest of the answer needs space too."""


def refuse(field: str, description: str, reason: Reason) -> InvalidInput:
    """Returns the refusal of one field."""
    return InvalidInput([Violation(field, description, reason)], reason=reason)


def masked(mask: FieldMask, fields: Sequence[str]) -> list[str]:
    """Returns what the mask of an update names. Raises InvalidInput unless that is one or more of the fields."""
    paths = list(mask.paths)
    unknown = [path for path in paths if path not in fields]
    if not paths or unknown:
        what = f"names {unknown[0][:80]!r}" if unknown else "is empty"
        what += f"; it can name {', '.join(fields)}"
        raise refuse("update_mask", what, LibraryReason.FIELD_MASK_MALFORMED)
    return paths


def resource_id(name: str, collection: str, *, field: str = "name") -> str:
    """Returns the id in `{collection}/{id}`. Raises InvalidInput when it is not such a name."""
    prefix, _, rest = name.partition("/")
    if prefix != collection or not re.fullmatch(r"[A-Za-z0-9._-]{1,128}", rest):
        raise refuse(field, f"is {name[:200]!r}; it looks like `{collection}/…`", RequestReason.NAME_MALFORMED)
    return rest


def request_id(text: str) -> str:
    """Returns a request_id in its canonical spelling. Raises InvalidInput when it is not a UUID."""
    try:
        return str(uuid.UUID(text))
    except ValueError:
        what = "is missing" if not text else f"is {text[:80]!r}"
        raise refuse(
            "request_id", f"{what}; give a new UUID for every new request", RequestReason.REQUEST_ID_MALFORMED
        ) from None


def page_size(requested: int) -> int:
    """Returns how much goes onto a page. Raises InvalidInput when it is out of range."""
    size = requested or PAGE_DEFAULT
    if not 1 <= size <= PAGE_MOST:
        raise refuse("page_size", f"is {size}; 1 to {PAGE_MOST} are allowed", RequestReason.PAGE_SIZE_OUT_OF_RANGE)
    return size


def fitting(messages: Sequence[Message]) -> int:
    """Returns how many of the first messages fit onto a page: at least one, if there is one."""
    used = 0
    for number, message in enumerate(messages):
        used += message.ByteSize() + 8  # and its tag and length
        if used > PAGE_BYTES and number:
            return number
    return len(messages)


def milliseconds(duration: Duration, field: str) -> int:
    """Returns a length of time in ms, the rest cut off. Raises InvalidInput at what is none."""
    if not -315_576_000_000 <= duration.seconds <= 315_576_000_000 or abs(duration.nanos) > 999_999_999:
        raise invalid(field, "is not a valid duration", SpecReason.DURATION_MALFORMED)
    return duration.seconds * 1000 + duration.nanos // 1_000_000


def invalid(field: str, description: str, reason: Reason) -> InvalidSpec:
    """Returns the refusal of one field of a spec."""
    return InvalidSpec([Violation(field, description, reason)], reason=reason)


def money(micros: int) -> job_pb2.Money:
    """Returns an amount."""
    return job_pb2.Money(amount_micros=micros, currency_code=CURRENCY)


def timestamp(time: datetime) -> Timestamp:
    """Returns a moment."""
    result = Timestamp()
    result.FromDatetime(time)
    return result


def duration(ms: int) -> Duration:
    """Returns a length of time."""
    result = Duration()
    result.FromTimedelta(timedelta(milliseconds=ms))
    return result


def size(given: Size) -> job_pb2.Size:
    """Returns a size."""
    return job_pb2.Size(width=given.width, height=given.height)


def asset(given: Asset) -> asset_pb2.Asset:
    """Returns what is known of an asset."""
    result = asset_pb2.Asset(
        name=f"assets/{given.sha256}",
        media_type=given.info.media_type,
        size_bytes=given.size_bytes,
        create_time=timestamp(given.create_time),
        promised=given.promised,
    )
    match given.info:
        case PictureInfo() as info:
            result.size.CopyFrom(job_pb2.Size(width=info.width, height=info.height))
        case VideoInfo() as info:
            result.size.CopyFrom(job_pb2.Size(width=info.width, height=info.height))
            result.frames = info.frames
            result.duration.CopyFrom(duration(round(info.duration_s * 1000)))
            if info.audio_s is not None:
                result.audio_duration.CopyFrom(duration(round(info.audio_s * 1000)))
        case AudioInfo() as info:
            result.duration.CopyFrom(duration(round(info.duration_s * 1000)))
            result.sample_rate, result.channels = info.sample_rate, info.channels
    return result
