"""A profile: a server, and who calls it, under one name."""

import re
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self

from i2v_client.server_address import DEFAULT, addresses

NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
FIRST = "default"
"""The profile that is used if no other is chosen."""
FILES = ("key_file", "ca_file", "cert_file", "cert_key_file")


class InvalidProfile(ValueError):
    """A profile has an unknown key, or a value of the wrong type."""


@dataclass(frozen=True, slots=True)
class Profile:
    """What a profile holds. Each value is that of the option of the same name; `key` is the API key itself."""

    server: str = ""
    user: str = ""
    key: str = ""
    key_file: str = ""
    tls: bool = False
    ca_file: str = ""
    cert_file: str = ""
    cert_key_file: str = ""

    @classmethod
    def of(cls, name: str, table: Any) -> Self:
        """Returns the profile that a table of the file holds. Raises InvalidProfile."""
        if not NAME.fullmatch(name):
            raise InvalidProfile(f"{name!r} cannot be the name of a profile: 1 to 64 of A-Z, a-z, 0-9, - and _")
        if not isinstance(table, dict):
            raise InvalidProfile(f"profiles.{name} is no table")
        types = {each.name: each.type for each in fields(cls)}
        for key, value in table.items():
            if key not in types:
                raise InvalidProfile(f"profiles.{name}: {key!r} is unknown; known are {', '.join(types)}")
            if type(value) is not types[key]:
                raise InvalidProfile(f"profiles.{name}.{key} is not {'true or false' if key == 'tls' else 'a text'}")
        profile = cls(**table)
        if profile.key and profile.key_file:
            raise InvalidProfile(f"profiles.{name} has both key and key_file; one is enough")
        return profile

    def as_table(self) -> dict[str, str | bool]:
        """Returns what differs from an empty profile."""
        return {key: value for key, value in asdict(self).items() if value}

    def defaults(self, folder: Path) -> dict[str, str | bool]:
        """Returns the defaults of the options. A relative path begins at the folder of the file."""
        table = self.as_table()
        table.pop("key", None)
        return {key: str(folder / _expanded(str(value))) if key in FILES else value for key, value in table.items()}

    def trusts(self, server: str) -> bool:
        """Returns whether the key may go to a server: it is one of the profile's own."""
        return set(addresses(server)) <= set(addresses(self.server or DEFAULT))


def _expanded(path: str) -> Path:
    """Returns a path with the home that it begins with. In that of no one it stays as it is, and is not there."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)
