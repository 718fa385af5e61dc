"""What processes and a PostgreSQL have used since a moment: processor time, bytes of WAL, bytes of tables."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg

TICK_S = 1 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Usage:
    """What was used."""

    program_s: tuple[float, ...]
    """Processor seconds of each program, with its children."""
    postgres_s: float
    wal_bytes: int
    table_bytes: int
    """Of all tables, with their indexes."""

    def __sub__(self, other: "Usage") -> "Usage":
        return Usage(
            tuple(one - before for one, before in zip(self.program_s, other.program_s, strict=True)),
            self.postgres_s - other.postgres_s,
            self.wal_bytes - other.wal_bytes,
            self.table_bytes - other.table_bytes,
        )


class UsageMeter:
    """Reads what programs, each by the process that supervises it, and a PostgreSQL have used so far."""

    def __init__(self, programs: Sequence[int], connection: psycopg.Connection) -> None:
        """`connection` commits by itself; its backend's own time counts too, and is small."""
        self._programs, self._connection = programs, connection
        folder = self._connection.execute("SHOW data_directory").fetchone()
        assert folder is not None
        self._postmaster = int((Path(folder[0]) / "postmaster.pid").read_text().split()[0])

    def read(self) -> Usage:
        """Returns what was used until now."""
        row = self._connection.execute(
            "SELECT pg_current_wal_insert_lsn() - '0/0', sum(pg_total_relation_size(oid)) FROM pg_class"
            " WHERE relkind = 'r' AND relnamespace::regnamespace::text IN ('public', 'dbos')"
        ).fetchone()
        assert row is not None
        return Usage(
            tuple(processor_s(pid) for pid in self._programs), processor_s(self._postmaster), int(row[0]), int(row[1])
        )


def processor_s(pid: int) -> float:
    """Returns the processor seconds of a process and of all that it has started, also of those that have ended."""
    return sum(_ticks(each, ended=each == pid) for each in tree(pid)) * TICK_S


def tree(pid: int) -> list[int]:
    """Returns a process and all processes that it has started, directly or not."""
    found, new = [], [pid]
    while new:
        found.append(pid := new.pop())
        for children in Path(f"/proc/{pid}/task").glob("*/children"):
            new += _numbers(children)
    return found


def private_bytes(pids: Iterable[int]) -> int:
    """Returns the memory that only these processes have."""
    return sum(
        1024 * int(line.split()[1])
        for pid in pids
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        if line.startswith(("Private_Clean:", "Private_Dirty:"))
    )


def _numbers(file: Path) -> list[int]:
    try:
        return [int(each) for each in file.read_text().split()]
    except OSError:
        return []


def _ticks(pid: int, *, ended: bool) -> int:
    """Returns the ticks of one process, and on request those of its children that have ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return sum(int(each) for each in fields[11 : 15 if ended else 13])
