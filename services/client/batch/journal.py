"""What a batch has done so far, in a file that is right after any interruption.

Each method is a part of a transaction, which `commit` makes. What pays is in the file before it is sent.
"""

import errno
import json
import sqlite3
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from services.client.batch.item import Again, Item, State
from services.client.batch.row import BadInput, Crop
from services.client.batch.schema import META, TABLES, VERSION

ITEM = "id, row, sample, name, prompt, negative, seed, picture, crop, state, again, tries, request_id, spec, job"
MISSING = "(state IN ('planned', 'intended', 'submitted', 'refused') OR (state = 'failed' AND again <> ''))"


@dataclass(frozen=True, slots=True)
class Totals:
    """The videos of the last call's input."""

    states: dict[State, int]
    charged: dict[str, int]
    """Micros by currency, of all calls."""
    faults: int
    """Rows that cannot be made."""

    def of(self, *states: State) -> int:
        """Returns how many are in these states."""
        return sum(self.states.get(state, 0) for state in states)


class Journal:
    """The journal of one folder. To be used as `with`."""

    def __init__(self, path: Path | None) -> None:
        """None: a journal that goes with the program."""
        self._path = path

    def __enter__(self) -> Self:
        with self.as_os_errors():
            self.database = sqlite3.connect(self._path or "", isolation_level=None, check_same_thread=False, timeout=0)
            try:
                self.database.executescript(
                    f"PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; {META}"
                )
                if self.meta("version", VERSION) != VERSION:
                    raise BadInput(f"{self._path} is the journal of another version of this program")
                self.database.executescript(TABLES)
                self.batch = uuid.UUID(self.meta("batch", str(uuid.uuid4())))
            except BaseException:
                self.database.close()
                raise
        return self

    def __exit__(self, *of_error: object) -> None:
        self.database.close()

    def commit(self, changes: Sequence[Callable[[], Any]]) -> list[Any]:
        """Makes changes in one transaction and returns their results. Raises OSError; then none is made."""
        with self.as_os_errors(), self.transaction():
            return [change() for change in changes]

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commits at the end of the block, or changes nothing if it fails."""
        self.database.execute("BEGIN IMMEDIATE")
        try:
            yield
            self.database.execute("COMMIT")
        except BaseException:
            if self.database.in_transaction:
                self.database.execute("ROLLBACK")
            raise

    @contextmanager
    def as_os_errors(self) -> Iterator[None]:
        """Raises OSError for what SQLite raises."""
        try:
            yield
        except sqlite3.Error as error:
            number = errno.ENOSPC if "full" in str(error) else errno.EIO
            raise OSError(number, f"the journal cannot be used: {error}", str(self._path)) from error

    def meta(self, name: str, first: str = "") -> str:
        """Returns what is noted under a name; `first` is noted if there is nothing yet."""
        if first:
            self.database.execute("INSERT INTO meta VALUES (?, ?) ON CONFLICT DO NOTHING", (name, first))
        row = self.database.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return str(row[0]) if row else ""

    def note(self, name: str, value: str) -> None:
        """Notes a value."""
        self.database.execute(
            "INSERT INTO meta VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", (name, value)
        )

    @property
    def call(self) -> int:
        """The number of the last call whose input was read."""
        return int(self.meta("call") or 0)

    def missing(self, after: tuple[int, int] = (-1, 0), most: int = 100) -> list[Item]:
        """Returns the next videos that are to be made, after a row and sample."""
        rows = self.database.execute(
            f"SELECT {ITEM} FROM items WHERE call = ? AND (row, sample) > (?, ?) AND {MISSING}"
            " ORDER BY row, sample LIMIT ?",
            (self.call, *after, most),
        )
        return [_item(row) for row in rows]

    def newest_job(self) -> tuple[str, str] | None:
        """Returns the name and the request_id of a job of this batch; None: it has none yet."""
        sql = "SELECT job, request_id FROM items WHERE job <> '' ORDER BY id DESC LIMIT 1"
        row = self.database.execute(sql).fetchone()
        return (str(row[0]), str(row[1])) if row else None

    def unanswered(self) -> int:
        """Returns how many submissions have no answer yet."""
        return int(self.database.execute("SELECT count(*) FROM items WHERE state = 'intended'").fetchone()[0])

    def totals(self) -> Totals:
        """Returns the sums."""
        states = self.database.execute("SELECT state, count(*) FROM items WHERE call = ? GROUP BY state", (self.call,))
        charged = self.database.execute("SELECT currency, sum(micros) FROM charges WHERE micros > 0 GROUP BY currency")
        faults = self.database.execute("SELECT count(*) FROM faults").fetchone()[0]
        return Totals({State(name): number for name, number in states}, dict(charged.fetchall()), faults)

    def missing_number(self) -> int:
        """Returns how many videos are to be made."""
        sql = f"SELECT count(*) FROM items WHERE call = ? AND {MISSING}"
        return int(self.database.execute(sql, (self.call,)).fetchone()[0])

    def faults(self) -> Iterator[tuple[int, str]]:
        """Yields the rows that cannot be made, from 0, with the reasons."""
        yield from self.database.execute("SELECT row, message FROM faults ORDER BY row")

    def failures(self) -> Iterator[tuple[int, str]]:
        """Yields the rows of failed jobs that are not tried again, with the reasons."""
        yield from self.database.execute(
            "SELECT row, message FROM items WHERE call = ? AND state = 'failed' AND again = '' ORDER BY row, sample",
            (self.call,),
        )

    # What the making of one video notes.

    def upload_of(self, key: str) -> str:
        """Returns the asset of a picture that was uploaded before; empty if there is none."""
        row = self.database.execute("SELECT asset FROM uploads WHERE key = ?", (key,)).fetchone()
        return str(row[0]) if row else ""

    def keep_upload(self, key: str, asset: str) -> None:
        """Notes a picture's asset."""
        self.database.execute("INSERT OR REPLACE INTO uploads VALUES (?, ?)", (key, asset))

    def drop_upload(self, key: str) -> None:
        """Forgets a picture's asset, which is no longer in the service."""
        self.database.execute("DELETE FROM uploads WHERE key = ?", (key,))

    def intend(self, item: Item, request_id: str, spec: bytes, picture_sha256: str) -> None:
        """Notes what will be submitted."""
        self._set(item, state=State.INTENDED, request_id=request_id, spec=spec, picture_sha256=picture_sha256)

    def submitted(self, item: Item, job: str, request_id: str) -> None:
        """Notes the job of a video."""
        self._set(item, state=State.SUBMITTED, job=job, request_id=request_id, spec=b"", again=Again.NO, message="")

    def done(self, item: Item, size: int) -> None:
        """Notes that the file is here."""
        self._set(item, state=State.DONE, size=size, message="")

    def charge(self, job: str, micros: int, currency: str) -> None:
        """Notes what a job has cost."""
        self.database.execute("INSERT OR IGNORE INTO charges VALUES (?, ?, ?)", (job, micros, currency))

    def failed(self, item: Item, message: str, again: Again) -> None:
        """Notes that a job ended without a video."""
        self._set(item, state=State.FAILED, message=message, again=again, tries=item.tries + 1)

    def refused(self, item: Item, message: str) -> None:
        """Notes that the service refused it."""
        self._set(item, state=State.REFUSED, message=message, request_id="", spec=b"")

    def _set(self, item: Item, **values: Any) -> None:
        named = ", ".join(f"{name} = ?" for name in values)
        self.database.execute(f"UPDATE items SET {named} WHERE id = ?", (*values.values(), item.id))


def _item(row: tuple[Any, ...]) -> Item:
    number, place, sample, name, prompt, negative, seed, picture, crop, state, again, tries, request_id, spec, job = row
    box, origin = json.loads(crop) if crop else (None, None)
    found = Crop(tuple(box), tuple(origin) if origin else None) if box else None
    return Item(
        id=number,
        row=place,
        sample=sample,
        name=name,
        prompt=prompt,
        negative=negative,
        seed=seed,
        picture=picture,
        crop=found,
        state=State(state),
        again=Again(again),
        tries=tries,
        request_id=request_id,
        spec=spec,
        job=job,
    )
