"""Latents as checkpoints: one block each, with what it takes to know later whether it may be used.

    one line of JSON: mark, start, shape, follows, sha256 ─ newline ─ the block, float32, little-endian

`mark` is a digest of the profile's files and the whole spec, `sha256` for the block's bytes, `follows` for those of the
block before: a block is good only after the very block that it was made after.
"""

import hashlib
import json
import logging
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from services import bounded_json
from services.orchestrator.backends.served_profile import GenerationPlan
from services.orchestrator.backends.triton_client import Array

log = logging.getLogger(__name__)


class BadCheckpoint(Exception):
    """These bytes are no usable checkpoint; str() has the reason."""


def pack(plan: GenerationPlan, start: int, block: Array, before: Array | None) -> bytes:
    """Returns the checkpoint of a block (1, C, f, h, w), which was made after the block `before`."""
    header = {
        "mark": plan.mark,
        "start": start,
        "shape": block.shape,
        "follows": _digest(before),
        "sha256": _digest(block),
    }
    return json.dumps(header).encode() + b"\n" + _raw(block)


def history(plan: GenerationPlan, checkpoints: Sequence[bytes]) -> list[Array]:
    """Returns the blocks that need not be made again: all up to the first checkpoint that is not good."""
    blocks: list[Array] = []
    for index, ((start, end), data) in enumerate(zip(plan.spans, checkpoints, strict=False)):
        try:
            blocks.append(_unpack(plan, start, end, data, blocks[-1] if blocks else None))
        except BadCheckpoint as why:
            log.warning("a checkpoint is not used", extra={"block": index, "cause": str(why)})
            break
    return blocks


def _unpack(plan: GenerationPlan, start: int, end: int, data: bytes, before: Array | None) -> Array:
    line, _, raw = data.partition(b"\n")
    try:
        header: Any = bounded_json.loads(line)
        shape = tuple(int(side) for side in header["shape"])
        stored = (header["mark"], header["start"], header["follows"], header["sha256"])
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        raise BadCheckpoint("it has no header that can be read") from error
    if stored[0] != plan.mark:
        raise BadCheckpoint("it is of another profile or another spec")
    if stored[3] != hashlib.sha256(raw).hexdigest():
        raise BadCheckpoint("it is damaged")
    if stored[1] != start or len(shape) != 5 or (shape[0], *shape[2:]) != (1, end - start, *plan.latent_size):
        raise BadCheckpoint(f"it is not the block from latent frame {start} to {end}")
    if stored[2] != _digest(before):
        raise BadCheckpoint("it was not made after the block before it")
    if len(raw) != 4 * math.prod(shape):
        raise BadCheckpoint("it is not as long as it says")
    block: Array = np.frombuffer(raw, "<f4").reshape(shape)
    if not np.isfinite(block).all():
        raise BadCheckpoint("it is not finite")
    return block


def _raw(block: Array) -> bytes:
    return np.ascontiguousarray(block, "<f4").tobytes()


def _digest(block: Array | None) -> str:
    return "" if block is None else hashlib.sha256(_raw(block)).hexdigest()
