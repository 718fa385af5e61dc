"""The program `kubectl` for shells of a test: it asks the test, which does with processes what a cluster does."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

KUBECTL = """#!{python} -IS
import json, socket, sys
with socket.socket(socket.AF_UNIX) as cluster:
    cluster.connect({path!r})
    cluster.sendall(json.dumps(sys.argv[1:]).encode() + b"\\n")
    problem = cluster.makefile().read()
sys.exit(problem or 0)
"""


@asynccontextmanager
async def kubectl(folder: Path, run: Callable[[list[str]], Awaitable[str]]) -> AsyncIterator[None]:
    """Puts the program into the folder `cluster` of a folder, for PATH.

    `run` gets the arguments of each call, and returns what is wrong; empty: nothing.
    """
    path, program = folder / "kubectl.socket", folder / "cluster" / "kubectl"
    program.parent.mkdir()
    program.write_text(KUBECTL.format(python=sys.executable, path=str(path)))
    program.chmod(0o755)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            problem = await run(json.loads(await reader.readline()))
        except Exception as error:
            problem = repr(error)
        writer.write(problem.encode())
        writer.close()

    async with await asyncio.start_unix_server(answer, path):
        yield
