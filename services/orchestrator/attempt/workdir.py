"""The folder of an attempt's files."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path


@asynccontextmanager
async def workdir(root: Path) -> AsyncIterator[Path]:
    """Creates an empty folder, and removes it with its files afterwards.

    If no thread can be started for the removal, the files stay until this process has ended.
    """
    folder = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="attempt-", dir=root))
    try:
        yield folder
    finally:
        with suppress(RuntimeError):
            await asyncio.shield(asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True))
