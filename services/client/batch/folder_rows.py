"""Rows of a folder of pictures; the prompt of `cat.png` is in `cat.txt`, or is that of the whole batch."""

import os
from collections.abc import Iterator
from pathlib import Path

from services.client.batch import input_text
from services.client.batch.picture_path import picture_path
from services.client.batch.row import BadInput, BadRow, Found, Row

SUFFIXES = {".avif", ".bmp", ".heic", ".heif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}


def folder_rows(folder: Path, prompt: str) -> Iterator[Found]:
    """Yields a row for each picture of a folder, by name; hidden files are left out. Raises BadInput, OSError."""
    names = sorted(name for name in os.listdir(folder) if Path(name).suffix.lower() in SUFFIXES and name[0] != ".")
    if not names:
        raise BadInput(f"{folder} has no pictures")
    for name in names:
        try:
            name.encode()
            yield _row(folder, name, prompt)
        except UnicodeEncodeError:
            yield BadRow(f"the name {name!r} is not UTF-8")
        except BadRow as bad:
            yield bad


def _row(folder: Path, name: str, prompt: str) -> Row:
    text = Path(name).with_suffix(".txt").name
    if os.path.lexists(folder / text):
        try:
            prompt = " ".join(" ".join(input_text.lines(picture_path(folder, text))).split())
        except BadInput as error:
            raise BadRow(str(error)) from error
    if not prompt:
        raise BadRow(f"{name} has no prompt: write one to {text}, or give --prompt")
    return Row(prompt, name, name=Path(name).stem)
