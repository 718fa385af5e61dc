"""The reading of a batch's input into its journal: which videos there are, and which are new, gone or changed.

A row is the same as that of an earlier call if all that decides its video is the same. So rows may be added, removed
and moved, and nothing is made twice.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from services.client.batch import video_name
from services.client.batch.batch_folder import BatchFolder
from services.client.batch.journal import Journal
from services.client.batch.picture_path import picture_path
from services.client.batch.row import BadInput, BadRow, Row
from services.client.batch.sources import Source
from services.client.batch.table_rows import SEED_MOST

PAID = "state IN ('intended', 'submitted', 'done') OR job <> ''"


@dataclass(frozen=True, slots=True)
class Naming:
    """What decides the samples of a row, and the names of its videos."""

    samples: int
    seed: int
    with_index: bool
    options: str
    """All options that decide a video, as a text."""


@dataclass(slots=True)
class Changes:
    """How the input differs from that of the call before."""

    rows: int = 0
    new: int = 0
    gone: int = 0
    """Videos that were submitted, of rows that are no longer there, or that have another picture."""


def read(
    source: Source,
    journal: Journal,
    folder: BatchFolder,
    naming: Naming,
    *,
    accept_changes: bool = False,
    stopped: Callable[[], bool] = lambda: False,
) -> Changes:
    """Reads all rows into the journal. Blocking.

    Raises BadInput, and changes nothing, if the input cannot be read, or if paid rows have gone and others have come:
    that looks like changed rows, which would be paid for again. The same when `stopped` returns True. OSError.
    """
    with journal.as_os_errors(), journal.transaction():
        changes = _Plan(source, journal, folder, naming).all(stopped)
        if changes.new and changes.gone and not accept_changes:
            raise BadInput(
                f"the input or an option has changed: {changes.gone} submitted videos are no longer asked for, and "
                f"{changes.new} new ones are. --accept-changes makes and pays for the new ones"
            )
    return changes


class _Plan:
    def __init__(self, source: Source, journal: Journal, folder: BatchFolder, naming: Naming) -> None:
        self._source, self._journal, self._folder, self._naming = source, journal, folder, naming
        self._sql = journal.database.execute
        self._changes = Changes()
        self._before = journal.call
        self._call = self._before + 1

    def all(self, stopped: Callable[[], bool]) -> Changes:
        self._sql("DELETE FROM seen")
        self._sql("DELETE FROM faults")
        root = self._source.root
        for number, found in enumerate(self._source.rows()):
            self._changes.rows += 1
            if stopped():
                raise BadInput("the reading was stopped")
            try:
                if isinstance(found, BadRow):
                    raise found
                self._row(number, found, root)
            except BadRow as bad:
                self._sql("INSERT INTO faults VALUES (?, ?)", (number, str(bad)))
        if not self._changes.rows:
            raise BadInput(f"{self._source.path} has no rows")
        gone = self._sql(f"SELECT count(*) FROM items WHERE call = ? AND ({PAID})", (self._before,)).fetchone()[0]
        self._changes.gone += gone if self._before else 0
        self._changes.new *= bool(self._before)
        self._journal.note("call", str(self._call))
        return self._changes

    def _row(self, number: int, row: Row, root: Path) -> None:
        stat, file, bad = "", None, None
        if row.picture:
            try:
                file = picture_path(root, row.picture)
                facts = file.stat()
                stat = f"{facts.st_size} {facts.st_mtime_ns}"
            except BadRow as error:  # a video that was made no longer needs it
                bad = error
        first = self._naming.seed if row.seed is None else row.seed
        for sample in range(self._naming.samples):
            seed = (first + sample) % (SEED_MOST + 1)
            crop = json.dumps([row.crop.box, row.crop.origin]) if row.crop else ""
            text = [row.extended_prompt or row.prompt, row.negative, row.picture, crop, seed, self._naming.options]
            digest = hashlib.sha256(json.dumps(text).encode()).hexdigest()
            counted = "INSERT INTO seen VALUES (?, 1) ON CONFLICT (digest) DO UPDATE SET number = number + 1"
            occurrence = self._sql(f"{counted} RETURNING number", (digest,)).fetchone()[0]
            key = f"{digest}/{occurrence}"
            if not self._known(key, number, sample, stat, file):
                if bad is not None:
                    raise bad
                self._add(key, number, sample, row, seed, crop, stat)

    def _known(self, key: str, row: int, sample: int, stat: str, file: Path | None) -> bool:
        found = self._sql(
            f"SELECT id, state, name, size, picture_stat, picture_sha256, {PAID} FROM items WHERE key = ?", (key,)
        ).fetchone()
        if found is None:
            return False
        number, state, name, size, stat_before, sha256, paid = found
        if paid and stat != stat_before and sha256 and file is not None and _sha256(file) not in ("", sha256):
            self._sql("UPDATE items SET key = ?, call = 0 WHERE id = ?", (f"{key}/{number}", number))
            self._changes.gone += 1
            return False
        if state == "done" and self._folder.size(name) != size:
            state = "submitted"  # its file is gone or cut: it is fetched again, and not made again
        self._sql(
            "UPDATE items SET call = ?, row = ?, sample = ?, picture_stat = ?, state = ? WHERE id = ?",
            (self._call, row, sample, stat, state, number),
        )
        return True

    def _add(self, key: str, number: int, sample: int, row: Row, seed: int, crop: str, stat: str) -> None:
        stem = video_name.stem(
            prompt=row.prompt, name=row.name, row=number, sample=sample, with_index=self._naming.with_index
        )
        name = self._free_name(stem)
        values = (
            *(key, self._call, number, sample, name, video_name.folded(name), row.extended_prompt or row.prompt),
            *(row.negative, seed, row.picture, stat, crop),
        )
        self._sql(
            "INSERT INTO items"
            " (key, call, row, sample, name, folded, prompt, negative, seed, picture, picture_stat, crop)"
            f" VALUES ({', '.join('?' * len(values))})",
            values,
        )
        self._changes.new += 1

    def _free_name(self, stem: str) -> str:
        """Returns a name that no other video of the batch has, and no file that is in the folder already."""
        while True:
            counted = "INSERT INTO names VALUES (?, 1) ON CONFLICT (stem) DO UPDATE SET number = number + 1"
            (number,) = self._sql(f"{counted} RETURNING number", (video_name.folded(stem),)).fetchone()
            name = video_name.file_name(stem, number)
            taken = self._sql("SELECT 1 FROM items WHERE folded = ?", (video_name.folded(name),)).fetchone()
            if not taken and not self._folder.has(name):
                return name


def _sha256(file: Path) -> str:
    """Returns the digest; empty if the file cannot be read, as if it were not there."""
    try:
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError:
        return ""
