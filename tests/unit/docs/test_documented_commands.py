"""Which commands the documentation shows, which of them are run, and that those within sentences exist."""

import importlib.util
import re
import shlex
from pathlib import Path

import click
import pytest

from services.client.admin_commands import i2v
from tests.support.documented_commands import LANGUAGES, NOT_RUN, PAGES, ROOT, commands, mentioned

TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_block_says_what_it_is_where_it_is_no_command(page: Path) -> None:
    """So that commands of an unexpected program are not ignored."""
    known = {*LANGUAGES, "text", "promql", "yaml", "toml", "json", "sql", "proto"}
    fences = re.findall(r"^ *```(\w*)$", page.read_text(), re.MULTILINE)[::2]
    assert set(fences) <= known


def test_commands_of_every_kind_are_found() -> None:
    found = [each.text for each in commands()]
    assert len(found) > 20
    assert any(text.startswith("import asyncio") for text in found)
    assert any(text.startswith(".venv/bin/buf curl") and text.endswith("SubmitJob") for text in found)
    assert any(text.startswith(".venv/bin/i2v generate --capability") and "\\\n" in text for text in found)
    assert any(text.startswith(".venv/bin/pytest") for text in found)


def test_what_is_not_run_is_still_in_the_documentation() -> None:
    found = [each.text for each in commands()]
    assert [form for form in NOT_RUN if not any(re.fullmatch(form, text, re.DOTALL) for text in found)] == []


@pytest.mark.parametrize("text", sorted({text for _, text in mentioned()}))
def test_a_command_within_a_sentence_exists(text: str) -> None:
    program, *arguments = shlex.split(text)
    if program == "make":
        assert arguments[0] in TARGETS
    elif program == "python":
        assert arguments[0] == "-m" and importlib.util.find_spec(arguments[1])
    elif program == "i2v":
        command: click.Command = i2v
        while arguments and isinstance(command, click.Group) and not arguments[0].startswith("-"):
            assert arguments[0] in command.commands, arguments[0]
            command = command.commands[arguments.pop(0)]
        options = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
        assert {each for each in arguments if each.startswith("--")} <= {*options, "--help"}
