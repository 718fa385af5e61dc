"""Runs the clients of other languages against a stack."""

import asyncio
import os
import shutil
from pathlib import Path

from tests.support.studio_rig import Rig

ROOT = Path(__file__).resolve().parents[2]
CLIENTS = ROOT / "clients"
PICTURE = ROOT / "tests/golden/cat.png"
LIMIT_S = 240.0


def absent(*programs: str) -> list[str]:
    """Returns those of the programs that are not on this machine."""
    return [program for program in programs if shutil.which(program) is None]


def environment(rig: Rig) -> dict[str, str]:
    """Returns what says where the stack is, who calls, and which model is used."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("I2V_")}
    return inherited | {
        "I2V_SERVER": rig.i2v.address,
        "STUDIO_URL": rig.address,
        "I2V_KEY": "studio-key",
        "I2V_USER": "ann",
        "I2V_MODEL": "test-model",
    }


async def run(*command: str | Path, cwd: Path = ROOT, env: dict[str, str] | None = None) -> str:
    """Returns what a command prints. It must end well."""
    program = await asyncio.create_subprocess_exec(
        *map(str, command), cwd=cwd, env=env, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        async with asyncio.timeout(LIMIT_S):
            printed = (await program.communicate())[0].decode()
    finally:
        if program.returncode is None:
            program.kill()
            await program.wait()
    assert program.returncode == 0, printed
    return printed


async def generate(language: str, folder: Path, env: dict[str, str] | None = None) -> None:
    """Writes the code of the protos for a language, by the template of its client, to a folder."""
    template = CLIENTS / language / f"buf.gen.{language}.yaml"
    protos = ("proto", "--path", "proto/i2v/v1")
    await run("buf", "generate", "--template", template, "--output", folder, *protos, env=env)
