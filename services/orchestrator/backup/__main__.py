"""`python -m services.orchestrator.backup create|check|restore FOLDER`, with the settings of an orchestrator.

create dumps the database (I2V_DATABASE_URL) and lists the stored bytes. check compares the files with their digests,
and the store with the list. restore fills an empty database, audits it, and names the bytes that it needs and the store
lacks.
"""

import asyncio
import sys
from contextlib import AsyncExitStack
from importlib.metadata import version
from pathlib import Path

from services.errors import ServiceError
from services.orchestrator.backup import blob_inventory, database_dump
from services.orchestrator.backup.backup_folder import BackupFolder, BadBackup
from services.orchestrator.backup.database_dump import DumpFailed
from services.orchestrator.blob_stores import open_blobs
from services.orchestrator.clock_and_ids import SystemClock
from services.orchestrator.ports.blobs import Blobs
from services.orchestrator.settings import Settings
from services.orchestrator.store.blob_references import PostgresBlobReferences
from services.orchestrator.store.counter_audits import PostgresCounterAudits
from services.orchestrator.store.database import Database
from services.settings import BadSetting

USAGE = "usage: python -m services.orchestrator.backup create|check|restore FOLDER\n"
AUDITED = 20
"""Differences that are shown, at most."""


def main(arguments: list[str]) -> int:
    """Returns the exit code: 0, 1 if it cannot be done or something is missing or wrong, 2 at a wrong call."""
    if len(arguments) != 2 or arguments[0] not in COMMANDS:
        sys.stderr.write(USAGE)
        return 2
    try:
        settings = Settings.from_environment()
        if not settings.database_url:
            raise BadSetting("I2V_DATABASE_URL is needed; an embedded PostgreSQL is copied with its folder")
        return asyncio.run(_run(arguments[0], settings, BackupFolder(Path(arguments[1]))))
    except (BadSetting, BadBackup, DumpFailed, ServiceError, OSError, ValueError) as error:
        sys.stderr.write(f"backup: {error}\n")
        return 1


async def _run(command: str, settings: Settings, folder: BackupFolder) -> int:
    async with AsyncExitStack() as stack:
        blobs = open_blobs(settings)
        stack.push_async_callback(blobs.close)
        return await COMMANDS[command](settings.database_url, blobs, folder)


async def _create(url: str, blobs: Blobs, folder: BackupFolder) -> int:
    folder.begin()
    time = SystemClock().now()
    # In this order: bytes are stored before a row names them, so the list has all that the dump names.
    await database_dump.dump(url, folder.database)
    count = await blob_inventory.write(blobs, folder.inventory)
    made = await asyncio.to_thread(folder.complete, time, version("i2v"), count)
    sys.stdout.write(f"{folder.path}: the database, and a list of {made.blobs} stored files. Copy their bytes too.\n")
    return 0


async def _check(_: str, blobs: Blobs, folder: BackupFolder) -> int:
    made = await asyncio.to_thread(folder.read)
    found = [each async for each in blob_inventory.compare(folder.inventory, blobs)]
    return _report(f"of {made.create_time}, {made.blobs} stored files", found)


async def _restore(url: str, blobs: Blobs, folder: BackupFolder) -> int:
    made = await asyncio.to_thread(folder.read)
    if not await database_dump.is_empty(url):
        raise BadBackup("the database has tables already: name an empty one in I2V_DATABASE_URL")
    await database_dump.restore(url, folder.database)
    database = Database(url, pool_size=1)
    try:
        differences = await PostgresCounterAudits(database, SystemClock()).full(limit=AUDITED)
        found = [each async for each in blob_inventory.unstored(PostgresBlobReferences(database), blobs)]
    finally:
        await database.close()
    for difference in differences:
        sys.stdout.write(f"wrong: {difference.kind} of {difference.tenant} {difference.subject} {difference.measure}\n")
    return max(_report(f"restored as of {made.create_time}", found), int(bool(differences)))


def _report(what: str, found: list[blob_inventory.Found]) -> int:
    for each in found:
        sys.stdout.write(f"{each.fault}: {each.key}\n")
    sys.stdout.write(f"{what}: " + (f"{len(found)} files are missing or wrong\n" if found else "nothing is missing\n"))
    return int(bool(found))


COMMANDS = {"create": _create, "check": _check, "restore": _restore}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
