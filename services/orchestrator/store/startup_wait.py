"""A start waits, for a limited time, for a PostgreSQL that is not ready yet.

Whether to wait depends on the state of the server, not on the text of an error: if a server accepts connections and
refuses this one (a wrong password, an unknown database), the start does not wait.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

import psycopg
from psycopg import pq
from psycopg.conninfo import make_conninfo
from sqlalchemy.exc import DBAPIError

from services.errors import Unavailable
from services.orchestrator.store.database import PASSING, plain_url
from services.reasons import ServiceReason

T = TypeVar("T")

AGAIN_S, LOG_S = 0.5, 10.0
CONNECT_S = 2
"""Seconds that a server may take to answer, the minimum of libpq: some builds of psycopg block meanwhile."""
NOT_READY = {
    pq.Ping.REJECT: "it is starting, stopping or recovering",
    pq.Ping.NO_RESPONSE: "nothing answers at its address",
}

log = logging.getLogger(__name__)


class StartupWait:
    """The time limit of one start: all its steps share it."""

    def __init__(self, url: str, at_most_s: float, report: Callable[[str], None] = lambda why: None) -> None:
        """Waits for the database of the URL, `at_most_s` seconds from now. 0: not at all.

        `report` gets why it waits; empty: it waits no more.
        """
        self._url = plain_url(url)
        self._at_most_s = at_most_s
        self._report = report
        self._until = asyncio.get_running_loop().time() + at_most_s
        self._said: tuple[str, float] | None = None
        """What was logged last, and when."""

    async def through(self, step: Callable[[], Awaitable[T]]) -> T:
        """Runs a step that needs the database, and repeats it while the database is not ready.

        A failed step must leave nothing half done.

        Raises the step's error if waiting does not help; Unavailable when the time is over.
        """
        refused = False
        while True:
            while why := await asyncio.to_thread(self._trouble):
                await self._wait(why)
            try:
                result = await step()
            except (Unavailable, DBAPIError, psycopg.Error) as error:
                state = _sqlstate(error)
                if isinstance(error, Unavailable) and error.reason == ServiceReason.SCHEMA_MISMATCH:
                    await self._wait(error.message)
                elif state.startswith(PASSING):
                    await self._wait(f"it refuses for now (SQLSTATE {state})")
                elif not await asyncio.to_thread(self._trouble):
                    # A refused login has no SQLSTATE. The server may have become ready since, so try again.
                    if refused:
                        raise
                    refused = True
            else:
                if self._said is not None:
                    log.info("the database is ready")
                    self._said = None
                    self._report("")
                return result

    async def _wait(self, why: str) -> None:
        now = asyncio.get_running_loop().time()
        if now >= self._until:
            limit = f"{self._at_most_s:g} s (I2V_DATABASE_PATIENCE_S)"
            raise Unavailable(
                f"The database was not ready within {limit}: {why}.", reason=ServiceReason.DATABASE_UNAVAILABLE
            )
        if self._said is None or self._said[0] != why or now >= self._said[1] + LOG_S:
            self._said = (why, now)
            self._report(why)
            left_s = round(self._until - now, 1)
            log.warning("waiting for the database", extra={"cause": why, "at_most_s_more": left_s})
        await asyncio.sleep(min(AGAIN_S, self._until - now))

    def _trouble(self) -> str:
        """Asks the server, without a login, and returns why it accepts no connections; empty if it does."""
        try:
            conninfo = make_conninfo(self._url, connect_timeout=CONNECT_S)
        except psycopg.ProgrammingError:
            return ""  # not the URL of a database: the step reports that
        return NOT_READY.get(pq.Ping(pq.PGconn.ping(conninfo.encode())), "")


def _sqlstate(error: BaseException | None) -> str:
    """Returns the SQLSTATE behind an error, or a text that begins like no SQLSTATE."""
    while error is not None:
        source = error.orig if isinstance(error, DBAPIError) else error
        if isinstance(source, psycopg.Error) and source.sqlstate:
            return source.sqlstate
        error = error.__cause__
    return "none"
