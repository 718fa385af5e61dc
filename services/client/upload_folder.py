"""Uploads of many files at once, and of folders."""

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path

from i2v_client import AsyncClient
from i2v_client.errors import I2VError, Unauthenticated, Unreachable
from services.client import formatting
from services.client.exit_codes import ExitCode
from services.client.spec_options import upload
from services.client.terminal import say

AT_ONCE = 4


async def upload_files(client: AsyncClient, paths: Sequence[Path], *, json: bool) -> ExitCode:
    """Uploads files, and all files in folders; prints a line for each. Hidden files in folders are left out.

    Files that are refused, or cannot be read, are named, and do not keep the others from being uploaded. Returns the
    exit code, that of the last one of them.

    Raises Unreachable, Unauthenticated: then nothing more is tried.
    """
    files = [file for path in paths for file in _files(path)]
    turns, width = asyncio.Semaphore(AT_ONCE), len(str(len(files)))
    done, failed = 0, list[I2VError | OSError]()

    async def one(file: Path) -> None:
        nonlocal done
        async with turns:
            try:
                asset = await upload(client, file, str(file))
            except (Unreachable, Unauthenticated):
                raise
            except (I2VError, OSError) as error:
                failed.append(error)
                line = f"{file}: {error}" if str(file) not in str(error) else str(error)
            else:
                line = ""
                say(formatting.as_json(asset) if json else f"{asset.name}  {file}")
            done += 1
            if line:
                say(f"[{done:{width}}/{len(files)}] {line}", err=True)

    tasks = [asyncio.create_task(one(file)) for file in files]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
    say(f"{len(files) - len(failed)} of {len(files)} files are uploaded", err=True)
    if not failed:
        return ExitCode.OK
    return ExitCode.of(failed[-1]) if isinstance(failed[-1], I2VError) else ExitCode.USAGE


def _files(path: Path) -> Iterator[Path]:
    if not path.is_dir():
        yield path
        return
    for found in sorted(path.rglob("*")):
        if found.is_file() and not any(part.startswith(".") for part in found.relative_to(path).parts):
            yield found
