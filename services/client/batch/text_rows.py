"""Rows of text files: a prompt a line, or a picture and a prompt; and the file of extended prompts."""

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
        if not pairs:
            yield Row(line)
            continue
        at = next((line.index(sign) for sign in SEPARATORS if sign in line), None)
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
