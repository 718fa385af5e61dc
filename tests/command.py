"""The `i2v` command as a process of its own, in a folder of the test's."""

import asyncio
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.scripted_server import KEY, PICTURE

GENERATE = ("generate", "--image", "cat.png", "--prompt", "It moves.")


@dataclass
class Ended:
    """What a run of the command left."""

    code: int
    out: str
    err: str


class Command:
    """The `i2v` command as a process of its own."""

    def __init__(self, address: str, folder: Path) -> None:
        self.address = address
        self.folder = folder

    async def start(self, *arguments: str, key: str | None = KEY) -> asyncio.subprocess.Process:
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path), "I2V_SERVER": self.address}
        if key is not None:
            environment["I2V_KEY"] = key
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "services.client.cli", *arguments),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=self.folder,
            env=environment,
        )

    async def __call__(self, *arguments: str, key: str | None = KEY) -> Ended:
        return await self.end(await self.start(*arguments, key=key))

    async def end(self, process: asyncio.subprocess.Process) -> Ended:
        out, err = await process.communicate()
        assert b"Traceback" not in err, err.decode()
        return Ended(process.returncode or 0, out.decode(), err.decode())


def beside_a_picture(address: str, folder: Path) -> Command:
    """The command in a folder with the picture that `GENERATE` names."""
    (folder / "cat.png").write_bytes(PICTURE)
    return Command(address, folder)
