"""Dumps and restores a database by PostgreSQL's own programs."""

import asyncio
import shutil
from pathlib import Path

import psycopg
import sqlalchemy as sa

from services.errors import Unavailable
from services.orchestrator.store.database import plain_url
from services.orchestrator.store.postgres_cluster import ENVIRONMENT, ClusterError, programs
from services.reasons import ServiceReason

EMPTY = """
SELECT count(*) = 0 FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE relkind IN ('r', 'p', 'S', 'v', 'm') AND nspname NOT LIKE 'pg\\_%' AND nspname <> 'information_schema'
"""
LINES = 5
"""Of a program's errors that are quoted."""


class DumpFailed(Exception):
    """A program of PostgreSQL failed or is not there; the message says why."""


async def dump(url: str, file: Path) -> None:
    """Writes a database to a file in pg_dump's custom format, as of one moment. Raises DumpFailed."""
    file.touch(mode=0o600)  # it has digests of keys, and what callers wrote
    await _run("pg_dump", url, "--format=custom", "--no-owner", "--no-privileges", f"--file={file}")


async def restore(url: str, file: Path) -> None:
    """Restores a file of `dump` into an empty database, completely or not at all. Raises DumpFailed."""
    await _run("pg_restore", url, "--no-owner", "--no-privileges", "--single-transaction", "--exit-on-error", str(file))


async def is_empty(url: str) -> bool:
    """Returns whether a database has no table at all. Raises Unavailable."""
    try:
        async with await psycopg.AsyncConnection.connect(plain_url(url)) as connection:
            row = await (await connection.execute(EMPTY)).fetchone()
    except psycopg.OperationalError as error:
        why = str(error).splitlines()[0]
        raise Unavailable(f"The database cannot be used: {why}", reason=ServiceReason.DATABASE_UNAVAILABLE) from error
    return row is not None and bool(row[0])


async def _run(program: str, url: str, *arguments: str) -> None:
    """Runs a program on a database; the password is in its environment, where other users cannot see it."""
    parsed = sa.make_url(plain_url(url))
    command = [_path(program), f"--dbname={parsed.set(password=None).render_as_string()}", "--no-password", *arguments]
    environment = ENVIRONMENT | ({} if parsed.password is None else {"PGPASSWORD": str(parsed.password)})
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *command, env=environment, stdin=asyncio.subprocess.DEVNULL, stdout=pipe, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await process.communicate()
    if process.returncode != 0:
        raise DumpFailed(f"{program} failed: " + " ".join(said.decode(errors="replace").splitlines()[:LINES]))


def _path(program: str) -> str:
    """Returns the program of the wheel, which knows every server up to its own version, else that of the machine."""
    try:
        found = shutil.which(program, path=str(programs()))
    except ClusterError:
        found = shutil.which(program)
    if found is None:
        raise DumpFailed(f"{program} is not installed: apt-get install postgresql-client, of the server's version")
    return found
