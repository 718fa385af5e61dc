"""Text files of any origin, line by line: UTF-8 or UTF-16, with or without a byte order mark, with any line ends."""

from collections.abc import Iterator
from pathlib import Path

from services.client.batch.row import BadInput

LINE_MOST = 1024 * 1024
"""Characters of a line."""
UTF_16 = (b"\xff\xfe", b"\xfe\xff")


def lines(path: Path) -> Iterator[str]:
    """Yields the lines of a file with their ends. Raises BadInput, with the number of the line; OSError."""
    with path.open("rb") as raw:
        encoding = "utf-16" if raw.read(2) in UTF_16 else "utf-8-sig"
    number = 0
    with path.open(encoding=encoding, newline="") as file:
        while True:
            number += 1
            try:
                line = file.readline(LINE_MOST + 1)
            except UnicodeError:
                raise BadInput(f"{path}: line {number} or a later one is not {encoding.removesuffix('-sig')}") from None
            if not line:
                return
            if len(line) > LINE_MOST:
                raise BadInput(f"{path}: line {number} has more than {LINE_MOST} characters")
            yield line
