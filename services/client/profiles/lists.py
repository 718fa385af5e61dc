"""`i2v profiles`: what the configuration file holds."""

import json
from dataclasses import asdict

from i2v_client.server_address import DEFAULT
from services.client import formatting
from services.client.commands import command
from services.client.connection import Connection
from services.client.profiles import configuration_file
from services.client.profiles.profile import Profile
from services.client.terminal import say


@command("profiles")
def profiles(connection: Connection) -> None:
    """Lists the profiles of the configuration file, and marks the one in use. Shows no key."""
    found, used = configuration_file.read().profiles, connection.profile.name
    if connection.json:
        say(*(json.dumps(_row(name, each) | {"used": name == used}) for name, each in found.items()))
    elif found:
        rows = [(f"{name} *" if name == used else name, *_columns(each)) for name, each in found.items()]
        say(*formatting.columns([("PROFILE", "SERVER", "USER", "KEY"), *rows]))
    else:
        say(f"There are no profiles in {configuration_file.path() or 'a configuration file'}. `i2v login` makes one.")


def _row(name: str, profile: Profile) -> dict[str, object]:
    shown = {key: value for key, value in asdict(profile).items() if key != "key"}
    return {"profile": name} | shown | {"server": profile.server or DEFAULT, "key_stored": bool(profile.key)}


def _columns(profile: Profile) -> tuple[str, str, str]:
    key = "stored" if profile.key else profile.key_file or "none"
    return profile.server or DEFAULT, profile.user or "default", key
