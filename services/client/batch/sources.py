"""The input of a batch: which kind it is, and its rows."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from services.blank_text import is_blank
from services.client.batch import self_forcing_rows, text_rows
from services.client.batch.folder_rows import folder_rows
from services.client.batch.row import BadInput, BadRow, Found, Row
from services.client.batch.table_rows import csv_rows, json_rows

TABLES = {".csv": csv_rows, ".tsv": csv_rows, ".jsonl": json_rows, ".ndjson": json_rows}
TEXTS = (".txt", "")


@dataclass(frozen=True, slots=True)
class Source:
    """The input as the caller named it."""

    path: Path
    pictures_needed: bool = False
    """Whether every row must have a picture (`--i2v`)."""
    prompt: str = ""
    """For rows that have none of their own."""
    extended_prompts: Path | None = None
    """A file with one prompt a row, which makes the video."""

    @property
    def root(self) -> Path:
        """The folder of the pictures."""
        if (info := self._info()) is not None:
            return self_forcing_rows.pictures_of(info)
        return self.path if self.path.is_dir() else self.path.parent

    def rows(self) -> Iterator[Found]:
        """Yields every row, in order. Raises BadInput, OSError."""
        if self.extended_prompts is None:
            yield from map(self._checked, self._rows())
            return
        extended = text_rows.prompts(self.extended_prompts)
        for found in self._rows():
            if (prompt := next(extended, None)) is None:
                raise BadInput(f"{self.extended_prompts} has fewer lines than {self.path} has rows")
            yield self._checked(replace(found, extended_prompt=prompt) if isinstance(found, Row) else found)
        if next(extended, None) is not None:
            raise BadInput(f"{self.extended_prompts} has more lines than {self.path} has rows")

    def _rows(self) -> Iterator[Found]:
        if (info := self._info()) is not None:
            return self_forcing_rows.self_forcing_rows(info)
        if self.path.is_dir():
            return folder_rows(self.path, self.prompt)
        if not self.path.is_file():  # a pipe can be read only once
            raise BadInput(f"{self.path} is no file; write it to one")
        if (table := TABLES.get(self.path.suffix.lower())) is not None:
            return table(self.path)
        if self.path.suffix.lower() in TEXTS:
            return text_rows.text_rows(self.path, pairs=self.pictures_needed)
        raise BadInput(f"{self.path} is of no kind that is taken: a folder, {', '.join([*TABLES, *TEXTS[:-1]])}")

    def _info(self) -> Path | None:
        if self.path.is_dir():
            return self_forcing_rows.info_of(self.path)
        return self.path if self.path.match(self_forcing_rows.PATTERN) else None

    def _checked(self, found: Found) -> Found:
        if isinstance(found, BadRow):
            return found
        if not found.prompt:
            found = replace(found, prompt=self.prompt)
        if is_blank(found.extended_prompt or found.prompt):
            return BadRow("it has no prompt")
        if self.pictures_needed and not found.picture:
            return BadRow("it has no picture, which --i2v needs")
        return found
