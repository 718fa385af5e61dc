"""The configuration file of the command: who may read it, what it may say, and how it changes."""

import os
import stat
import tomllib
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import pytest

from services.client.profiles import configuration_file
from services.client.profiles.configuration_file import UnusableConfiguration
from services.client.profiles.profile import Profile
from services.client.profiles.toml_table import replaced

WRITTEN = """\
# Mine.
default_profile = "work"

[profiles.work]
# The studio's.
server = "studio.example.com:443"
key = "old"

[profiles.home]
user = "me"
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    folder = tmp_path / "i2v"
    folder.mkdir()
    return folder / "config.toml"


def written(file: Path, text: str | bytes, mode: int = 0o600) -> None:
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    file.chmod(mode)


def refusal() -> str:
    with pytest.raises(UnusableConfiguration) as refused:
        configuration_file.read()
    return refused.value.message


def test_a_missing_file_says_nothing(file: Path) -> None:
    assert configuration_file.read().profiles == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[profiles.", "is not TOML"),
        ("x = " + "[" * 5000, "is not TOML"),
        ("servr = 1", "'servr' is unknown; known are default_profile and [profiles.NAME]"),
        ("default_profile = 7", "default_profile is a text"),
        ("profiles = 7", "profiles are tables"),
        ("[profiles.a]\nsrver = 'b:1'", "profiles.a: 'srver' is unknown; known are server, user, key"),
        ("[profiles.a]\ntls = 'yes'", "profiles.a.tls is not true or false"),
        ("[profiles.a]\nkey = 7", "profiles.a.key is not a text"),
        ("[profiles.a]\nkey = 'k'\nkey_file = 'f'", "both key and key_file"),
        ("[profiles.'a b']\nkey = 'k'", "cannot be the name of a profile"),
        ("[profiles]\na = 1", "profiles.a is no table"),
        (b"\xff\xfe", "is not UTF-8"),
        (b"#" * 1_000_001, "more than 1000000 bytes"),
    ],
)
def test_a_file_that_is_wrong_is_refused_with_its_name_and_the_reason(file: Path, text: str | bytes, said: str) -> None:
    written(file, text)
    assert said in refusal() and str(file) in refusal()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666])
def test_a_file_that_others_can_open_is_refused_with_the_command_that_helps(file: Path, mode: int) -> None:
    written(file, WRITTEN, mode)
    assert f"`chmod 600 {file}`" in refusal()


def test_a_link_a_pipe_and_a_folder_are_not_read(file: Path, tmp_path: Path) -> None:
    written(tmp_path / "elsewhere", WRITTEN)
    file.symlink_to(tmp_path / "elsewhere")
    assert "symbolic link" in refusal()
    file.unlink()
    os.mkfifo(file, 0o600)
    assert "no regular file" in refusal()
    file.unlink()
    file.mkdir()
    assert "no regular file" in refusal()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_of_another_user_is_not_read(file: Path) -> None:
    written(file, WRITTEN)
    os.chown(file, 12345, 12345)
    assert "belongs to another user" in refusal()


def test_a_change_keeps_comments_and_other_profiles_and_the_mode(file: Path) -> None:
    written(file, WRITTEN)
    configuration_file.change("work", lambda before: replace(before, key='n"e\\w'))
    assert configuration_file.read().profiles == {
        "work": Profile(server="studio.example.com:443", key='n"e\\w'),
        "home": Profile(user="me"),
    }
    text = file.read_text()
    assert text.startswith('# Mine.\ndefault_profile = "work"\n') and "# The studio's." in text
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [each.name for each in file.parent.iterdir() if each.name.startswith(".config-")] == []


def test_a_profile_in_another_form_is_left_as_it_is(file: Path) -> None:
    inline = 'profiles.work = { server = "a:1" }\n'
    written(file, inline)
    with pytest.raises(UnusableConfiguration):
        configuration_file.change("work", lambda before: replace(before, key="new"))
    assert file.read_text() == inline


def test_a_text_that_looks_like_a_table_is_not_mistaken_for_one(file: Path) -> None:
    tricky = 'default_profile = """\n[profiles.work]\n"""\n'
    written(file, tricky)
    with pytest.raises(UnusableConfiguration):
        configuration_file.change("work", lambda before: Profile(key="new"))
    assert file.read_text() == tricky


def test_every_character_of_a_value_comes_back() -> None:
    value = "".join(map(chr, [*range(1, 0x300), 0x2028, 0x1F431]))
    assert tomllib.loads(replaced("", ("profiles", "a"), {"key": value}))["profiles"]["a"]["key"] == value


def store(folder: str, number: int) -> None:
    os.environ["XDG_CONFIG_HOME"] = folder
    configuration_file.change(f"p{number}", lambda before: Profile(key=f"key-{number}"))


def test_changes_of_several_processes_are_all_kept(file: Path, tmp_path: Path) -> None:
    with ProcessPoolExecutor(4, mp_context=get_context("fork")) as processes:
        list(processes.map(store, [str(tmp_path)] * 20, range(20)))
    found = configuration_file.read().profiles
    assert {name: each.key for name, each in found.items()} == {f"p{n}": f"key-{n}" for n in range(20)}


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"XDG_CONFIG_HOME": "/proc/nowhere"}, "cannot be written"),
        ({"XDG_CONFIG_HOME": "/dev/null"}, "cannot be written"),
        ({"XDG_CONFIG_HOME": "relative", "HOME": ""}, "set HOME or XDG_CONFIG_HOME"),
    ],
)
def test_without_a_writable_place_a_change_says_so(
    environment: dict[str, str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert configuration_file.read().profiles == {}
    with pytest.raises(UnusableConfiguration, match=said):
        configuration_file.change("default", lambda before: Profile(key="k"))


def test_a_text_that_looks_like_a_table_is_not_changed(file: Path) -> None:
    text = "[profiles.trap]\nuser = '''\n[profiles.home]\n# '''\nserver = \"kept:1\"\n[profiles.home]\nkey = \"k\"\n"
    written(file, text)
    with pytest.raises(UnusableConfiguration, match="cannot be changed here"):
        configuration_file.change("home", lambda before: Profile(key="k"))
    assert file.read_text() == text


def test_a_path_in_the_home_of_no_one_is_a_file_that_is_not_there(tmp_path: Path) -> None:
    named = Profile(key_file="~no-such-user/key").defaults(tmp_path)["key_file"]
    assert isinstance(named, str) and not Path(named).exists()
