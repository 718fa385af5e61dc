"""`i2v share` through the real server."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from services.client.exit_codes import ExitCode
from tests.support.builders import ScriptedBackend
from tests.support.client_command import Command, Terminal
from tests.support.pictures import a_picture
from tests.support.served_orchestrator import served
from tests.support.shared_links import Links

STUDIO = "https://studio.example"


@pytest.fixture(params=[STUDIO])
async def links(database: str, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Links]:
    def change(values: dict[str, Any]) -> None:
        values["studio_url"] = request.param

    async with served(database, tmp_path, {"test": (ScriptedBackend(), 1)}, change=change) as running:
        yield Links(running)


async def test_the_command_shares_lists_and_revokes(links: Links, tmp_path: Path) -> None:
    cat = (await links.i2v.upload(a_picture())).name
    album = await links.collection("Roofs", cat)
    command = Command(links.i2v.address, tmp_path)

    async def run(*arguments: str, code: int = 0) -> str:
        ended = await command("--user", "ann", *arguments, key="studio-key")
        assert ended.code == code, ended.err
        return ended.out or ended.err

    url = (await run("share", "create", cat.removeprefix("assets/"), "--expires", "12h")).strip()
    token = url.removeprefix(f"{STUDIO}/s/")
    assert (await links.shown(token)).assets[0].name == cat
    (tmp_path / "phrase").write_text("under the roof\nanother line\n")
    more = ("--collection", "--pass-phrase-file", "phrase", "--json")
    made = json.loads(await run("share", "create", album.removeprefix("collections/"), *more))
    assert (made["collection"], made["has_pass_phrase"], made["state"]) == (album, True, "OPEN")
    assert (await links.unlock(made["token"], "under the roof")).unlock
    listed = [json.loads(line) for line in (await run("share", "ls", "--json")).splitlines()]
    assert [each["name"] for each in listed] == [made["name"], listed[1]["name"]]
    assert listed[1]["asset"] == cat and not listed[1]["token"]
    assert "under the roof" not in str(listed) and made["token"] not in str(listed)
    assert f"{made['name']} is revoked." in await run("share", "revoke", made["name"].removeprefix("shares/"))
    assert made["name"] not in await run("share", "ls", "--open")
    assert "revoked" in await run("share", "show", made["name"])
    with pytest.raises(grpc.aio.AioRpcError):
        await links.shown(made["token"])
    assert "shares     1" in await run("assets", "show", cat)
    for wrong in (
        ("--expires", "7"),
        ("--ask-pass-phrase",),
        ("--pass-phrase-file", "phrase", "--ask-pass-phrase"),
        ("--pass-phrase-file", "missing"),
    ):
        await run("share", "create", cat, *wrong, code=ExitCode.USAGE)
    assert "1 s to 90 days" in await run("share", "create", cat, "--expires", "0d", code=ExitCode.REFUSED)
    (tmp_path / "phrase").write_text("short")
    assert "8 to 200" in await run("share", "create", cat, "--pass-phrase-file", "phrase", code=ExitCode.REFUSED)
    await run("share", "create", "0" * 64, code=ExitCode.UNKNOWN)
    await run("share", "revoke", "x", code=ExitCode.UNKNOWN)


@pytest.mark.parametrize("links", [""], indirect=True)
async def test_without_an_address_for_browsers_the_command_prints_the_token(links: Links, tmp_path: Path) -> None:
    cat = (await links.i2v.upload(a_picture())).name
    ended = await Command(links.i2v.address, tmp_path)("--user", "ann", "share", "create", cat, key="studio-key")
    assert ended.code == 0 and "no address for browsers" in ended.err
    assert (await links.shown(ended.out.strip())).assets[0].name == cat


async def test_a_pass_phrase_is_typed_twice_on_the_terminal_and_not_shown(links: Links, tmp_path: Path) -> None:
    cat = (await links.i2v.upload(a_picture())).name
    terminal = Terminal()
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join(sys.path),
        "I2V_SERVER": links.i2v.address,
        "I2V_KEY": "studio-key",
    }
    command = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.client.cli", "--user", "ann"),
        *("share", "create", cat, "--ask-pass-phrase", "--json"),
        stdin=terminal.slave,
        stdout=asyncio.subprocess.PIPE,
        stderr=terminal.slave,
        cwd=tmp_path,
        env=environment,
        start_new_session=True,  # so that this terminal is asked, and not that of the tests
    )
    try:
        shown = await terminal.until("Pass phrase: ")
        terminal.type("under the roof\n")
        shown += await terminal.until("Again: ")
        terminal.type("under the roof\n")
        out, _ = await command.communicate()
    finally:
        if command.returncode is None:
            command.kill()
        terminal.hand_over()
    assert "under the roof" not in shown + await terminal.read()
    made = json.loads(out)
    assert (await links.unlock(made["token"], "under the roof")).unlock
