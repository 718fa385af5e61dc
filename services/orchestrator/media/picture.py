"""Every picture from outside passes here once; what comes out is small enough, still, and nothing but pixels.

The bytes are opened in a child process only (sandbox.py), so the worst that a picture can do is to be refused.
"""

import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from services.errors import InvalidUpload, Violation
from services.orchestrator.domain.media_info import PictureInfo
from services.orchestrator.media.fair_thread_pool import FairThreadPool
from services.orchestrator.media.picture_header import MAX_FILE_BYTES
from services.orchestrator.media.sandbox import DecoderDied, Sandbox
from services.reasons import AssetReason, Reason, reason_of

LIMIT_S = 10.0
"""Of processor time."""
#: Pictures decoded at the same time: each may take a gigabyte and a core.
AT_ONCE = 2

_sandbox = Sandbox("pictures", size=AT_ONCE, limit_s=LIMIT_S)
# As many threads as children: who waits, waits in the queue, where cancelling is free.
_turns = FairThreadPool(AT_ONCE, "pictures")


async def normalise(path: Path, out: Path, *, field: str, tenant: str = "") -> PictureInfo:
    """Writes the picture in `path` to `out` as 8-bit RGB, upright, without metadata, in the tenant's turn.

    A lossy picture becomes a JPEG, any other a PNG; the file may become larger than the upload, and than the limit for
    uploads. `out` appears complete or not at all; a cancelled call may still write it. The violation names `field`.

    Raises:
        InvalidUpload: not a still PNG, JPEG, WebP, HEIC or AVIF, incomplete, or beyond a limit; the reason says which.
        Unavailable: no decoder could be started.
        OSError: `out` could not be written.
    """
    return await _turns.run(tenant, lambda: _normalise(path, out, field))


def _normalise(path: Path, out: Path, field: str) -> PictureInfo:
    with path.open("rb") as source:
        size = os.fstat(source.fileno()).st_size
        if size > MAX_FILE_BYTES:
            limit = f"the limit is {MAX_FILE_BYTES:,} bytes; send a smaller picture or compress it more"
            _refuse(field, AssetReason.PICTURE_FILE_TOO_LARGE, f"is {size:,} bytes; {limit}")
        target, name = tempfile.mkstemp(dir=out.parent, prefix=".picture-")
        try:
            info = _ask(source.fileno(), target, field)
            os.replace(name, out)
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(name)
            raise
        finally:
            os.close(target)
    return info


def _ask(source: int, target: int, field: str) -> PictureInfo:
    try:
        answer = _sandbox.call(source, target)
    except DecoderDied as died:
        if died.out_of_time:
            _refuse(
                field,
                AssetReason.PICTURE_TOO_COMPLEX,
                f"takes more than {LIMIT_S:.0f} s of computing to decode; send a smaller picture",
            )
        _refuse(field, AssetReason.PICTURE_MALFORMED, "crashes the decoder; save the picture again as PNG or JPEG")
    if "memory" in answer:
        limit = "takes more than 1 GiB of memory to decode, which is the limit"
        _refuse(field, AssetReason.PICTURE_TOO_COMPLEX, f"{limit}; send a smaller picture")
    if "broken" in answer:
        _refuse(field, AssetReason.PICTURE_MALFORMED, "is broken: its data cannot be decoded; save the picture again")
    if "reason" in answer:
        _refuse(field, reason_of(str(answer["reason"])), str(answer["description"]))
    if "unwritten" in answer:
        number = int(str(answer["unwritten"]))
        raise OSError(number, os.strerror(number))
    width, height, phash = (int(str(answer[name])) for name in ("width", "height", "phash"))
    return PictureInfo(str(answer["media_type"]), width, height, phash)


def _refuse(field: str, reason: Reason, description: str) -> NoReturn:
    raise InvalidUpload([Violation(field, description, reason)], reason=reason)
