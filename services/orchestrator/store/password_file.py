"""The database's password in a file that libpq reads for each connection, so that a new one holds without a restart."""

import asyncio
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

LOOK_S = 2.0
"""Seconds between two looks for a new password."""


class PasswordFile:
    """A file of the password of a URL that may change. Only this user can read it. Use `close` at the end.

    All connections of the process, DBOS's too, take the password from there: none is in the URL that they get.
    """

    def __init__(self, newest_url: Callable[[], str]) -> None:
        """`newest_url` returns the URL as it is now: `postgresql://user:password@…`."""
        self._newest_url = newest_url
        self._folder = tempfile.TemporaryDirectory(prefix="i2v-database-")
        self._path = Path(self._folder.name) / "passwords"
        self._url, self._password = _split(newest_url())
        self._write()

    @property
    def url(self) -> str:
        """The URL with the file in place of the password; unchanged if it has none."""
        if not self._password:
            return self._url
        mark = "&" if urlsplit(self._url).query else "?"
        return f"{self._url}{mark}passfile={quote(str(self._path))}"

    async def follow(self) -> None:
        """Writes each new password, without an end. Other parts of the URL hold from the next start."""
        while True:
            await asyncio.sleep(LOOK_S)
            self.renew()

    def renew(self) -> None:
        """Writes the password if it is a new one."""
        _, password = _split(self._newest_url())
        if password and password != self._password:
            self._password = password
            self._write()

    def close(self) -> None:
        """Removes the file."""
        self._folder.cleanup()

    def _write(self) -> None:
        escaped = self._password.replace("\\", "\\\\").replace(":", "\\:")
        new = self._path.with_suffix(".new")
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(f"*:*:*:*:{escaped}\n")
        new.replace(self._path)


def _split(url: str) -> tuple[str, str]:
    """Returns a URL without its password, and the password."""
    try:
        netloc = urlsplit(url).netloc
    except ValueError:  # who connects says so
        return url, ""
    identity, at, places = netloc.rpartition("@")
    user, _, password = identity.partition(":")
    return (url.replace(netloc, f"{user}{at}{places}", 1), unquote(password)) if password else (url, "")
