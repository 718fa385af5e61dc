"""The configuration file of the command, which holds profiles and their keys.

Only its owner may read it, and a change replaces it in one step.
"""

import errno
import fcntl
import os
import stat
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import click

from services.client.exit_codes import ExitCode
from services.client.profiles.profile import FIRST, InvalidProfile, Profile
from services.client.profiles.toml_table import replaced

LARGEST_BYTES = 1_000_000
LOCK_FOR_S = 10.0
"""Seconds that a change waits for another one."""


class UnusableConfiguration(click.ClickException):
    """The configuration file cannot be read or written, or says what it may not."""

    exit_code = ExitCode.USAGE


@dataclass(frozen=True, slots=True)
class Configuration:
    """What the file says."""

    profiles: Mapping[str, Profile] = field(default_factory=dict)
    default_profile: str = FIRST


def path() -> Path | None:
    """Returns where the file is; None without an absolute XDG_CONFIG_HOME or HOME."""
    if (configured := Path(os.environ.get("XDG_CONFIG_HOME", ""))).is_absolute():
        return configured / "i2v" / "config.toml"
    home = Path(os.environ.get("HOME", ""))
    return home / ".config" / "i2v" / "config.toml" if home.is_absolute() else None


def read() -> Configuration:
    """Returns what the file says; a missing one says nothing. Raises UnusableConfiguration."""
    file = path()
    return _parse(file, _text(file)) if file else Configuration()


def change(name: str, to: Callable[[Profile], Profile]) -> Path:
    """Changes a profile, and makes the file if it is missing. Returns its path. Raises UnusableConfiguration."""
    file = path()
    if file is None:
        raise UnusableConfiguration("There is no place for a configuration file: set HOME or XDG_CONFIG_HOME.")
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _locked(file.parent / ".config.lock"):
            before = _text(file)
            old = _parse(file, before)
            new = to(old.profiles.get(name, Profile()))
            after = replaced(before, ("profiles", name), new.as_table())
            # All of it: a text of several lines may hold what looks like a table.
            if _parse(file, after) != replace(old, profiles={**old.profiles, name: new}):
                raise UnusableConfiguration(f"{file}: profiles.{name} is written in a way that cannot be changed here.")
            _replace(file, after)
    except UnicodeEncodeError as error:
        raise UnusableConfiguration(f"profiles.{name}: {error.object!r} is not UTF-8.") from error
    except OSError as error:
        raise UnusableConfiguration(f"{error.filename or file} cannot be written: {error.strerror}.") from error
    return file


def _text(file: Path) -> str:
    """Returns the content; "" if there is no file."""
    try:
        opened = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except OSError as error:
        link = error.errno == errno.ELOOP
        why = "it is a symbolic link, which may lead to a file of others" if link else error.strerror
        raise UnusableConfiguration(f"{file} is not read: {why}.") from error
    try:
        found = os.fstat(opened)
        if not stat.S_ISREG(found.st_mode):
            raise UnusableConfiguration(f"{file} is not read: it is no regular file.")
        if found.st_uid != os.geteuid():
            raise UnusableConfiguration(f"{file} is not read: it belongs to another user.")
        if found.st_mode & 0o077:
            raise UnusableConfiguration(f"{file} is not read: others may open it. `chmod 600 {file}` ends that.")
        with open(opened, "rb", closefd=False) as content:
            data = content.read(LARGEST_BYTES + 1)
    finally:
        os.close(opened)
    if len(data) > LARGEST_BYTES:
        raise UnusableConfiguration(f"{file} is not read: it has more than {LARGEST_BYTES} bytes.")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise UnusableConfiguration(f"{file} is not UTF-8.") from error


def _parse(file: Path, text: str) -> Configuration:
    try:
        found = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise UnusableConfiguration(f"{file} is not TOML: {error or 'it is nested too deep'}.") from error
    if unknown := found.keys() - {"default_profile", "profiles"}:
        named = ", ".join(sorted(map(repr, unknown)))
        raise UnusableConfiguration(f"{file}: {named} is unknown; known are default_profile and [profiles.NAME].")
    chosen, tables = found.get("default_profile", FIRST), found.get("profiles", {})
    if not isinstance(chosen, str) or not isinstance(tables, dict):
        raise UnusableConfiguration(f"{file}: default_profile is a text, and profiles are tables: [profiles.NAME].")
    try:
        return Configuration({name: Profile.of(name, table) for name, table in tables.items()}, chosen)
    except InvalidProfile as error:
        raise UnusableConfiguration(f"{file}: {error}.") from error


@contextmanager
def _locked(lock: Path) -> Iterator[None]:
    """Holds the lock of the file, so that no change of another process is lost."""
    opened = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        until = time.monotonic() + LOCK_FOR_S
        while True:
            try:
                fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() > until:
                    raise UnusableConfiguration(f"Another process holds {lock}; try again.") from error
                time.sleep(0.02)
        yield
    finally:
        os.close(opened)


def _replace(file: Path, text: str) -> None:
    """Writes the file whole or not at all, readable only by its owner."""
    opened, name = tempfile.mkstemp(dir=file.parent, prefix=".config-")  # with mode 0600
    try:
        with open(opened, "wb") as content:
            content.write(text.encode())
            content.flush()
            os.fsync(opened)
        os.replace(name, file)
    except BaseException:
        os.unlink(name)
        raise
