"""`--json` of every command: what is printed on stdout is JSON, one value a line, also if the command fails."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from services.client.admin_commands import i2v
from tests.support.any_method_server import any_method_server

VALUES = {
    "month": "2026-11",
    "before": "2026-10",
    "amount": "1",
    "most": "1",
    "url": "https://example.com/",
    "stars": "3",
}
NEEDS = {"assets tag": ["--tag", "x"], "admin retention run": []}
"""What a command needs beside its required parameters."""


def commands(of: click.Command = i2v, path: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    """Each command with its words."""
    if isinstance(of, click.Group):
        for name, each in of.commands.items():
            yield from commands(each, (*path, name))
    else:
        yield " ".join(path), of


def value(parameter: click.Parameter, folder: Path) -> str:
    """A value that the parameter takes."""
    if isinstance(parameter.type, click.Choice):
        return str(parameter.type.choices[0])
    if isinstance(parameter.type, click.Path):
        made = folder / f"{parameter.name}.json"
        if parameter.type.file_okay:
            made.write_text("{}")
        return str(made)
    if isinstance(parameter.type, click.DateTime):
        return "2026-11-01"
    return VALUES.get(parameter.name or "", str(folder / "out.bin") if parameter.name == "out" else "7")


def typed(name: str, command: click.Command, folder: Path) -> list[str]:
    """The words of a call with --json."""
    words = [*name.split(), "--json", *NEEDS.get(name, [])]
    for each in command.params:
        if isinstance(each, click.Argument):
            words.append(value(each, folder))
        elif each.required:
            words += [each.opts[0], value(each, folder)]
    return words


@pytest.mark.parametrize(("name", "command"), list(commands()), ids=[name for name, _ in commands()])
def test_a_command_with_json_prints_nothing_else(name: str, command: click.Command, tmp_path: Path) -> None:
    async def run() -> click.testing.Result:
        async with any_method_server() as address:
            environment = {"I2V_SERVER": address, "I2V_KEY": "key", "XDG_CONFIG_HOME": str(tmp_path)}
            call = typed(name, command, tmp_path)
            return await asyncio.to_thread(CliRunner(env=environment).invoke, i2v, call, input="a-key\n")

    result = asyncio.run(run())
    print(name, result.exit_code, repr(result.stdout), repr(result.stderr), repr(result.exception))
    for line in result.stdout.splitlines():
        json.loads(line)
