"""`--json` of every command: what is printed on stdout is JSON, one value a line, also if the command fails."""

import asyncio
import json
from collections.abc import Iterator
from importlib.metadata import version
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
NEEDS = {
    "generate": ["--prompt", "It moves.", "--detach"],
    "preview": ["--prompt", "It moves."],
    "assets edit": ["--title", "x"],
    "assets tag": ["assets/7"],
    "assets untag": ["assets/7"],
    "collections edit": ["--title", "x"],
    "webhooks update": ["--event", "job.succeeded"],
}
"""What a command needs beyond its required parameters."""
NO_LINES = {"jobs", "models", "ledger", "profiles", "admin backends", "admin usage daily", "admin log"}
"""Lists that are empty here. So are those named list, ls, search and deliveries."""
FAIL = {"preview", "watch", "resume", "download", "manifest", "verify", "rerun", "statement", "logout"}
FAIL |= {"batch", "admin invoice compare", "assets check", "assets import"}
"""An empty answer is not what these need. They fail, and print nothing else all the same."""


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


@pytest.mark.timeout(20)
@pytest.mark.parametrize(("name", "command"), list(commands()), ids=[name for name, _ in commands()])
def test_a_command_with_json_prints_nothing_else(name: str, command: click.Command, tmp_path: Path) -> None:
    async def run() -> click.testing.Result:
        async with any_method_server() as address:
            environment = {"I2V_SERVER": address, "I2V_KEY": "key", "XDG_CONFIG_HOME": str(tmp_path)}
            call = typed(name, command, tmp_path)
            return await asyncio.to_thread(CliRunner(env=environment).invoke, i2v, call, input="a-key\n")

    result = asyncio.run(run())
    for line in result.stdout.splitlines():
        json.loads(line)
    if name in FAIL:
        assert result.exit_code != 0
    else:
        assert (result.exit_code, "" if name == "open" else result.stderr) == (0, "")  # it says who knows the address
        is_list = name in NO_LINES or name.split()[-1] in ("list", "ls", "search", "deliveries", "deletions")
        assert bool(result.stdout) is not is_list


@pytest.mark.parametrize(("name", "command"), list(commands()), ids=[name for name, _ in commands()])
def test_a_wrong_call_with_json_is_one_error_on_stderr(name: str, command: click.Command, tmp_path: Path) -> None:
    for words in (["--json", *name.split()], [*name.split(), "--json"]):
        result = CliRunner(env={"XDG_CONFIG_HOME": str(tmp_path)}).invoke(i2v, [*words, "--no-such-option"])
        assert (result.exit_code, result.stdout) == (2, "")
        error = json.loads(result.stderr)["error"]
        assert error["code"] == "USAGE" and "--no-such-option" in error["message"]


def test_the_version_is_that_of_the_package() -> None:
    assert CliRunner().invoke(i2v, ["--version"], prog_name="i2v").output == f"i2v {version('i2v')}\n"


def test_an_error_before_the_call_has_the_form_of_one_of_the_service(tmp_path: Path) -> None:
    def error(*words: str) -> tuple[int, dict[str, object]]:
        environment = {"XDG_CONFIG_HOME": str(tmp_path), "I2V_KEY": "", "I2V_SERVER": "127.0.0.1:1"}
        result = CliRunner(env=environment).invoke(i2v, [*words])
        assert result.stdout == ""
        return result.exit_code, json.loads(result.stderr)["error"]

    code, refused = error("jobs", "--json")
    key = tmp_path / "key"
    key.write_text("a-key")
    lost_code, lost = error("--json", "--key-file", str(key), "jobs")
    assert (code, refused["code"], refused.keys()) == (6, "UNAUTHENTICATED", lost.keys())
    assert (lost_code, lost["code"]) == (5, "UNAVAILABLE")
    assert error("--profile", "none", "jobs", "--json")[1]["code"] == "USAGE"
    assert error("assets", "check", str(tmp_path / "none"), "--json")[1]["code"] == "USAGE"
