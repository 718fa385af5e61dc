"""Processes that are killed at any of their suspensions, as by kill -9."""

import asyncio
import types
from collections.abc import Coroutine, Generator
from typing import Any, TypeVar

import sqlalchemy as sa

from services.orchestrator.store.database import Database

T = TypeVar("T")

BUSY = sa.text("""
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND state <> 'idle' AND pid <> pg_backend_pid()
""")


class Killed(asyncio.CancelledError):
    """The process is killed: its code gets no further."""


@types.coroutine
def killed_at(work: Coroutine[Any, Any, T], suspension: int) -> Generator[Any, None, T]:
    """Runs work that is killed when it is suspended for the n-th time, counted from 1; 0: it is not killed.

    Its clean-up ends at its first suspension too. Only code that waits again after that is let through: SQLAlchemy,
    which insists on closing its connection, as the server does when a process is gone. Raises Killed.
    """
    suspensions = in_a_row = 0
    error: BaseException | None = None
    while True:
        try:
            waits_for = work.send(None) if error is None else work.throw(error)
        except StopIteration as ended:
            return ended.value  # type: ignore[no-any-return]
        suspensions += 1
        error = None
        if suspension and suspensions >= suspension and in_a_row < 2:
            in_a_row += 1
            error = Killed()
            continue
        in_a_row = 0
        try:
            yield waits_for
        except BaseException as thrown:
            error = thrown


async def quiet(database: Database) -> None:
    """Waits until the server has done, or undone, what killed processes have sent it."""
    async with asyncio.timeout(60):
        while True:
            async with database.reading() as connection:
                if not (await connection.execute(BUSY)).scalar_one():
                    return
            await asyncio.sleep(0.005)
