"""`i2v assets export`, `check` and `import`: the library as files."""

import json
from collections.abc import AsyncIterator
from dataclasses import asdict
from pathlib import Path

import click

from i2v_client import AsyncClient
from services.client.assets.group import assets
from services.client.assets.lists import FILTER
from services.client.commands import command
from services.client.connection import Connection
from services.client.exit_codes import ExitCode
from services.client.spec_options import utf8
from services.client.terminal import say
from services.client.transfer.check import faults, read_description
from services.client.transfer.description import Subject
from services.client.transfer.export import Exported, OneUser, export
from services.client.transfer.export_folder import ExportFolder
from services.client.transfer.faults import BrokenExport
from services.client.transfer.import_entries import Counts, Outcome
from services.client.transfer.import_export import Imported, ImportOptions, demand_whole, import_export
from services.client.transfer.long_reads import RETRY_FOR_S
from services.client.transfer.opened_source import opened
from services.client.transfer.sources import Source
from services.client.transfer.transfer_bar import TransferBar

FOLDER = click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
EXPORT = click.argument("source", metavar="FOLDER|ZIP", type=click.Path(exists=True, path_type=Path))
EVENTS = click.option("--events", is_flag=True, help="Also the events of each ended job; a call for each.")


@command("export", assets)
@FOLDER
@FILTER
@EVENTS
def export_(connection: Connection, folder: Path, filter_: str, events: bool) -> None:
    """Writes your library into a folder: bytes, entries, collections, shares, jobs, manifests and bookings.

    Run it again to continue one that was broken off, or to bring the folder up to date. With --filter: only the assets
    that it selects, without shares, jobs and bookings.
    """
    subject = Subject(user=connection.user, filter=filter_)

    async def only() -> AsyncIterator[OneUser]:
        yield OneUser(connection.user, connection.client(retry_for_s=RETRY_FOR_S))

    async def work(client: AsyncClient) -> ExitCode:
        await client.models()  # a wrong address or key is reported at once
        done = await export(ExportFolder(folder, subject), only(), TransferBar("export"), with_events=events)
        return print_exported(connection, folder, done)

    connection.run(work)


def print_exported(connection: Connection, folder: Path, done: Exported) -> ExitCode:
    """Prints what an export has. Returns the exit code: 1 if the service could not give all bytes."""
    if connection.json:
        say(json.dumps(asdict(done) | {"folder": str(folder)}, ensure_ascii=False))
    else:
        say(f"{folder}: {done.entries} entries, {done.files} files of {done.size_bytes} bytes.")
        if done.in_trash:
            say(f"Exported without bytes, because they are in the trash: {done.in_trash}.", err=True)
        if done.unreadable:
            say(f"{len(done.unreadable)} assets could not be read. Run the command again.", err=True)
    return ExitCode.SERVICE if done.unreadable else ExitCode.OK


@command("check", assets)
@EXPORT
def check(connection: Connection, source: Path) -> None:
    """Checks an export: all that it names is there and unaltered, and nothing else is. Needs no server.

    Each thing that is wrong is a line. The exit code is 7 if there is one.
    """
    found = 0
    try:
        with opened(source) as files:
            for fault in faults(files):
                found += 1
                say(json.dumps(fault.as_dict(), ensure_ascii=False) if connection.json else str(fault))
            if not found:
                _print_whole(connection, source, files)
    except BrokenExport as error:
        found += 1
        say(json.dumps(error.fault.as_dict(), ensure_ascii=False) if connection.json else str(error))
    except OSError as error:
        connection.say_error(ExitCode.USAGE, f"{error.filename or source}: {error.strerror or error}")
        raise SystemExit(ExitCode.USAGE) from error
    raise SystemExit(ExitCode.DIFFERENT if found else ExitCode.OK)


def _print_whole(connection: Connection, source: Path, files: Source) -> None:
    if not connection.json:
        said = read_description(files)
        entries = said.indexes["entries.jsonl"].records
        say(f"{source}: whole; {entries} entries, {said.files} files of {said.size_bytes} bytes.")


@command("import", assets)
@EXPORT
@click.option("--of-user", default="", callback=utf8, help="Only what this user of the export has; for you.")
@click.option("--all-users", is_flag=True, help="Every user's things for the user of the same name.")
@click.option("--overwrite", is_flag=True, help="Also change what was edited here, or is in the trash here.")
@click.option("--dry-run", is_flag=True, help="Store nothing; only count, and name what would be left out.")
def import_(
    connection: Connection, source: Path, of_user: str, all_users: bool, overwrite: bool, dry_run: bool
) -> None:
    """Brings an export into your library: files, texts, tags, favourites, ratings and collections.

    The export is checked first; a broken one stores nothing. Each file is uploaded with all checks. Run the command
    again to continue. What was edited here stays as it is. The exit code is 3 if something was refused or left.
    """
    if of_user and all_users:
        raise click.UsageError("Give either --of-user or --all-users.")

    def for_user(user: str) -> AsyncClient:
        return connection.client(user=user if all_users else "", retry_for_s=RETRY_FOR_S)

    async def work(client: AsyncClient) -> ExitCode:
        await client.models()  # a wrong address or key is reported at once
        with opened(source) as files:
            demand_whole(files)
            if not (read_description(files).subject.user or of_user or all_users):
                raise click.UsageError("The export has all users of a tenant: give --of-user or --all-users.")
            options = ImportOptions(of_user, overwrite, dry_run)
            with TransferBar("import") as bar:
                bar.expect(read_description(files).indexes["entries.jsonl"].records)
                done = await import_export(files, for_user, options, bar)
        _print_imported(connection, done, dry_run=dry_run)
        left = sum(done.entries.of[each] + done.collections.of[each] for each in (Outcome.EDITED, Outcome.REFUSED))
        return ExitCode.REFUSED if left else ExitCode.OK

    connection.run(work)


def _print_imported(connection: Connection, done: Imported, *, dry_run: bool) -> None:
    if connection.json:
        say(json.dumps({"dry_run": dry_run, "entries": done.entries.of, "collections": done.collections.of}))
        return
    say(f"entries: {_sentence(done.entries)}", f"collections: {_sentence(done.collections)}")
    if dry_run:
        say("Nothing was stored.", err=True)


def _sentence(counts: Counts) -> str:
    return "; ".join(f"{count} {outcome}" for outcome, count in counts.of.items() if count) or "none"
