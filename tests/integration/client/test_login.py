"""`i2v login`, `i2v logout` and `i2v profiles`, with a real terminal and a real file."""

import asyncio
import json
import os
import stat
from pathlib import Path

import pytest

from tests.support.client_command import Command, Ended, Terminal
from tests.support.scripted_server import KEY, Rig


@pytest.fixture
def file(i2v: Command) -> Path:
    return i2v.folder / "config" / "i2v" / "config.toml"


async def typed(i2v: Command, text: str, *arguments: str) -> tuple[int, str]:
    """Types a text at the prompt of a login; returns the exit code and what the terminal showed."""
    terminal = Terminal(200)
    process = await i2v.start(*arguments, "login", key=None, stdin=terminal.slave, stderr=terminal.slave)
    terminal.hand_over()
    seen = await terminal.until("API key for")
    terminal.type(text)
    rest, (out, _) = await asyncio.gather(terminal.read(), process.communicate())
    assert "Traceback" not in seen + rest
    return process.returncode or 0, seen + rest + out.decode()


async def piped(i2v: Command, text: str, *arguments: str, **more: str) -> Ended:
    """Gives a login the key by stdin."""
    read, write = os.pipe()
    os.write(write, text.encode())
    os.close(write)
    try:
        return await i2v.end(await i2v.start(*arguments, "login", key=None, stdin=read, **more))
    finally:
        os.close(read)


async def test_a_key_is_asked_without_echo_and_used_by_the_next_command(i2v: Command, file: Path) -> None:
    code, seen = await typed(i2v, f"{KEY}\n")
    assert (code, KEY in seen, "The key works." in seen) == (0, False, True)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600 and stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert (await i2v("jobs", key=None)).code == 0


async def test_a_key_that_the_server_refuses_is_not_stored(i2v: Command, file: Path) -> None:
    code, seen = await typed(i2v, "bad-key\n")
    assert (code, file.exists(), "bad-key" in seen) == (6, False, False)


@pytest.mark.parametrize("key", ["", "good\nkey\n", "a b", "k\x1b[2J", "schlüssel", "k" * 9000])
async def test_what_cannot_be_a_key_is_refused_and_not_shown(i2v: Command, file: Path, key: str) -> None:
    ended = await piped(i2v, key)
    assert (ended.code, file.exists(), len(ended.err.splitlines())) == (6, False, 1)
    assert not key or key not in ended.err


async def test_the_lines_after_a_pasted_key_reach_no_shell(i2v: Command, file: Path) -> None:
    code, seen = await typed(i2v, f"{KEY}\nrm -r important\n")
    assert (code, "important" in seen) == (0, False)
    assert KEY in file.read_text() and "important" not in file.read_text()


async def test_a_key_that_cannot_be_checked_is_not_stored(i2v: Command, file: Path) -> None:
    ended = await piped(i2v, KEY, "--server", "127.0.0.1:1")
    assert (ended.code, file.exists()) == (5, False)


async def test_ctrl_c_at_the_prompt_stores_nothing(i2v: Command, file: Path) -> None:
    code, _ = await typed(i2v, "\x03")
    assert (code, file.exists()) == (130, False)


async def test_a_profile_brings_server_and_user_and_options_win_over_it(rig: Rig, i2v: Command, file: Path) -> None:
    assert (await piped(i2v, KEY, "--profile", "studio", "--user", "ann")).code == 0
    shown = json.loads((await i2v("profiles", "--json", I2V_PROFILE="studio")).out)
    assert (shown["profile"], shown["server"], shown["user"], shown["used"]) == ("studio", rig.address, "ann", True)
    away = Command("", i2v.folder)
    away.environment = {"I2V_PROFILE": "studio"}
    assert (await away("jobs", key=None)).code == 0
    assert (await away("--user", "a\x1bb", "jobs", key=None)).code == 2
    refused = await away("--server", "127.0.0.1:1", "jobs", key=None)
    assert (refused.code, "goes only to its own server" in refused.err) == (6, True)
    assert (await away("jobs", key="bad-key")).code == 6  # the environment wins
    (i2v.folder / "key").write_text("bad-key")
    assert (await away("--key-file", "key", "jobs", key=None)).code == 6
    assert (await away("--profile", "other", "jobs", key=None)).err == (
        "Error: There is no profile other. Known are studio.\n"
    )


async def test_a_profile_can_name_the_file_of_a_key(i2v: Command, file: Path) -> None:
    (i2v.folder / "key").write_text(KEY)
    assert (await i2v("--key-file", "key", "login", key=None)).code == 0
    assert KEY not in file.read_text()
    assert (await i2v("jobs", key=None)).code == 0
    (i2v.folder / "key").unlink()
    gone = await i2v("jobs", key=None)
    assert (gone.code, "does not exist" in gone.err) == (2, True)


async def test_logout_removes_the_key_and_keeps_the_rest(i2v: Command, file: Path) -> None:
    await piped(i2v, KEY)
    assert KEY in file.read_text()
    ended = await i2v("logout", "--json", key=None)
    assert (ended.code, json.loads(ended.out)["profile"], KEY in file.read_text()) == (0, "default", False)
    assert "server" in file.read_text()
    assert (await i2v("logout", key=None)).code == 6
    assert (await i2v("jobs", key=None)).code == 6


async def test_concurrent_logins_are_all_stored(i2v: Command) -> None:
    names = [f"p{number}" for number in range(4)]
    ended = await asyncio.gather(*(piped(i2v, KEY, "--profile", name) for name in names))
    assert [each.code for each in ended] == [0, 0, 0, 0], ended
    listed = (await i2v("profiles", "--json")).out.splitlines()
    assert sorted(json.loads(line)["profile"] for line in listed) == names


async def test_without_a_home_commands_work_and_a_login_says_what_is_missing(i2v: Command) -> None:
    nowhere = {"XDG_CONFIG_HOME": "", "HOME": ""}
    assert (await i2v("jobs", **nowhere)).code == 0
    ended = await piped(i2v, KEY, **nowhere)
    assert (ended.code, "set HOME or XDG_CONFIG_HOME" in ended.err) == (2, True)
    ended = await piped(i2v, KEY, XDG_CONFIG_HOME="/proc/nowhere")
    assert (ended.code, "cannot be written" in ended.err) == (2, True)


async def test_a_broken_file_is_named_by_each_command_and_never_replaced(i2v: Command, file: Path) -> None:
    file.parent.mkdir(parents=True)
    file.write_text("[profiles.\x1b[2J")
    file.chmod(0o600)
    for command in ("jobs", "profiles", "logout", "login"):
        ended = await i2v(command)
        assert (ended.code, str(file) in ended.err, "\x1b" in ended.err) == (2, True, False), command
    assert file.read_text() == "[profiles.\x1b[2J"
    assert (await i2v("completion", "bash")).code == 0
