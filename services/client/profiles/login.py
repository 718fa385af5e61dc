"""`i2v login` and `i2v logout`: the key of a profile, in the configuration file."""

import json
import sys
from dataclasses import replace
from getpass import GetPassWarning, getpass
from pathlib import Path
from warnings import catch_warnings, simplefilter

import click
from click.core import ParameterSource

from i2v_client import AsyncClient
from i2v_client.server_address import DEFAULT
from services.client.commands import command
from services.client.connection import Connection, NoKey
from services.client.exit_codes import ExitCode
from services.client.profiles import configuration_file
from services.client.profiles.profile import Profile
from services.client.terminal import say

LONGEST_KEY = 8192
"""Characters: an API key has fewer, a token may have many."""


@command("login")
@click.pass_context
def login(context: click.Context, connection: Connection) -> None:
    """Asks for an API key, checks it at the server, and stores it with the server and the user in a profile.

    The key is not shown. Without a terminal it is read from stdin. With --key-file the profile names that file.

    \b
    Example:
      i2v --server i2v.example.com:443 --tls --profile studio --user ann login
    """
    source = context.find_root().get_parameter_source("key_file")
    named = connection.key_file if source in (ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT) else None
    key = "" if named else _asked(connection)
    made = Profile(
        server=connection.server,
        user="" if connection.user == "default" else connection.user,
        key=key,
        key_file=_absolute(named),
        tls=connection.tls,
        ca_file=_absolute(connection.ca_file),
        cert_file=_absolute(connection.cert_file),
        cert_key_file=_absolute(connection.cert_key_file),
    )

    async def work(client: AsyncClient) -> None:
        await client.models()
        file = configuration_file.change(connection.profile.name, lambda before: made)
        stored = {
            "profile": connection.profile.name,
            "server": made.server,
            "user": connection.user,
            "file": str(file),
        }
        line = f"The key works. The profile {connection.profile.name} is stored in {file}."
        say(json.dumps(stored) if connection.json else line)

    connection.run(work, key=key or connection.key())


@command("logout")
def logout(connection: Connection) -> None:
    """Removes the key of the profile from the configuration file. The rest of the profile stays."""
    name, held = connection.profile.name, connection.profile.profile
    if not (held.key or held.key_file):
        raise NoKey(f"The profile {name} holds no key.")
    file = configuration_file.change(name, lambda before: replace(before, key="", key_file=""))
    removed = {"profile": name, "server": held.server or DEFAULT, "file": str(file)}
    say(json.dumps(removed) if connection.json else f"The key of the profile {name} is no longer in {file}.")
    if not connection.json:
        say("It is still valid: an operator revokes keys.", err=True)


def _asked(connection: Connection) -> str:
    """Returns the key that a person types without echo, or that a program writes to stdin. Raises NoKey."""
    if sys.stdin is None:
        raise NoKey("There is no stdin to read the key from.")
    if not sys.stdin.isatty():
        return _key(sys.stdin.buffer.read(LONGEST_KEY + 2).decode(errors="replace"))
    with catch_warnings():
        simplefilter("error", GetPassWarning)  # it would go on and show the key
        try:
            return _key(getpass(f"API key for {connection.server}: "))
        except (GetPassWarning, EOFError) as error:
            raise NoKey("The key cannot be read from this terminal without showing it.") from error
        except KeyboardInterrupt:
            click.echo(err=True)
            sys.exit(ExitCode.INTERRUPTED)


def _key(typed: str) -> str:
    key = typed.strip()
    if not key:
        raise NoKey("No key was given.")
    if len(key) > LONGEST_KEY or not (key.isascii() and key.isprintable()) or " " in key:
        raise NoKey(f"That cannot be a key: one line of at most {LONGEST_KEY} printable ASCII characters, no space.")
    return key


def _absolute(file: Path | None) -> str:
    return str(file.absolute()) if file else ""
