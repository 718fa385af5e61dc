"""Rows of text files: a prompt a line, or a picture and a prompt; and the file of extended prompts."""

import os
from collections.abc import Iterator
from pathlib import Path

from services.client.batch import input_text
from services.client.batch.row import BadRow, Found, Row

SEPARATORS = "\t|"


def text_rows(path: Path, *, pairs: bool) -> Iterator[Found]:
    """Yields a row for each line that is not blank. Raises BadInput, OSError.

    A pair is a picture, a tab or `|`, and a prompt.
    """
    for line in prompts(path):
        at = next((line.index(sign) for sign in SEPARATORS if sign in line), None)
        if not pairs:
            is_pair = at is not None and os.path.isfile(path.parent / _unquoted(line[:at].strip()).replace("\0", ""))
            yield (
                BadRow("it begins with a picture; --i2v reads pairs of a picture and a prompt")
                if is_pair
                else Row(line)
            )
            continue
        if at is None:
            yield BadRow("it has no tab or | between a picture and a prompt")
        else:
            yield Row(_unquoted(line[at + 1 :].strip()), _unquoted(line[:at].strip()))


def prompts(path: Path) -> Iterator[str]:
    """Yields the lines that are not blank, without spaces around them. Raises BadInput, OSError."""
    for line in input_text.lines(path):
        if line := line.strip():
            yield line


def _unquoted(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] == '"' else text
