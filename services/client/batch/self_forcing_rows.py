"""Rows of a data set of Self-Forcing: `target_crop_info_26-15.json`, and the pictures in the folder `26-15`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from services.client.batch import json_text
from services.client.batch.row import BadInput, BadRow, Crop, Found, Row

PATTERN = "target_crop_info_*.json"
PREFIX = "target_crop_info_"
BYTES_MOST = 200_000_000


def info_of(folder: Path) -> Path | None:
    """Returns the file that describes the data set of a folder; None if it holds none. Raises BadInput for several."""
    found = sorted(folder.glob(PATTERN))
    if len(found) > 1:
        raise BadInput(f"{folder} has {len(found)} files {PATTERN}; name one of them")
    return found[0] if found else None


def pictures_of(info: Path) -> Path:
    """Returns the folder of the pictures."""
    return info.parent / info.stem.removeprefix(PREFIX)


def self_forcing_rows(info: Path) -> Iterator[Found]:
    """Yields the rows of a data set, each with its crop. Raises BadInput, OSError."""
    if info.stat().st_size > BYTES_MOST:
        raise BadInput(f"{info} has more than {BYTES_MOST // 10**6} MB")
    try:
        listed = json_text.loads(info.read_bytes().decode("utf-8-sig"))
    except ValueError as error:
        raise BadInput(f"{info} is no JSON that is taken: {error}"[:300]) from error
    if not isinstance(listed, list):
        raise BadInput(f"{info} is no JSON list")
    for entry in listed:
        try:
            yield _row(entry)
        except (KeyError, TypeError, ValueError):
            yield BadRow("it needs file_name, caption, and target_crop.target_bbox with four whole numbers")


def _row(entry: Any) -> Row:
    name, caption = entry["file_name"], entry["caption"]
    if not isinstance(name, str) or not isinstance(caption, str):
        raise TypeError
    box = _whole(entry["target_crop"]["target_bbox"], 4)
    origin = None
    if "origin_width" in entry or "origin_height" in entry:
        origin = _whole([entry["origin_width"], entry["origin_height"]], 2)
    return Row(caption, name, crop=Crop(box, origin))  # type: ignore[arg-type]  # the lengths were checked


def _whole(values: Any, number: int) -> tuple[int, ...]:
    found = tuple(int(each) for each in values if isinstance(each, int | float) and not isinstance(each, bool))
    if len(found) != number or list(found) != list(values):
        raise ValueError
    return found
