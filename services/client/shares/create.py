"""`i2v share create`."""

import sys
import uuid
from datetime import timedelta
from pathlib import Path

import click
from i2v.v1 import share_pb2

from i2v_client import AsyncClient
from services.client import formatting
from services.client.commands import command
from services.client.connection import Connection
from services.client.period import PERIOD
from services.client.shares.group import share, stub
from services.client.spec_options import FILE, utf8
from services.client.terminal import say


@command("create", share)
@click.argument("name", callback=utf8)
@click.option("--collection", is_flag=True, help="NAME is a collection, and not an asset.")
@click.option("--expires", type=PERIOD, help="Such as 90m, 12h or 7d. Default: 7d.")
@click.option("--pass-phrase-file", type=FILE, help="The first line of this file is needed to open the link.")
@click.option("--ask-pass-phrase", is_flag=True, help="The same, typed on the terminal.")
def create(
    connection: Connection,
    name: str,
    collection: bool,
    expires: timedelta | None,
    pass_phrase_file: Path | None,
    ask_pass_phrase: bool,
) -> None:
    """Shares an asset or a collection, and prints the link. It is shown only once.

    A collection shows what is in it at the time of reading.
    """
    kind = "collection" if collection or name.startswith("collections/") else "asset"
    request = share_pb2.CreateShareRequest(pass_phrase=_pass_phrase(pass_phrase_file, ask=ask_pass_phrase))
    setattr(request, kind, name if "/" in name else f"{kind}s/{name}")
    if expires is not None:
        request.expire_in.FromTimedelta(expires)

    async def work(client: AsyncClient) -> None:
        made = await _create(client, request)
        if connection.json:
            say(formatting.as_json(made))
            return
        say(made.url or made.token)
        until = f"{made.name} expires {formatting.moment(made.expire_time)}"
        say(until if made.url else f"{until}. The service has no address for browsers: this is the token.", err=True)

    connection.run(work)


async def _create(client: AsyncClient, request: share_pb2.CreateShareRequest) -> share_pb2.Share:
    """Returns a new share with its link, which only the first answer to a request has."""
    while True:
        request.request_id = str(uuid.uuid4())
        made: share_pb2.Share = await client.call(stub(client).CreateShare, request)
        if made.token:
            return made
        # The first answer was lost on its way, and the link with it.
        await client.call(stub(client).RevokeShare, share_pb2.RevokeShareRequest(name=made.name))


def _pass_phrase(file: Path | None, *, ask: bool) -> str:
    """Returns the pass phrase; empty without one. It is never given on the command line, where others can read it."""
    if file is not None and ask:
        raise click.UsageError("Give either --pass-phrase-file or --ask-pass-phrase.")
    if ask:
        if not sys.stdin.isatty():
            raise click.UsageError("--ask-pass-phrase needs a terminal. Use --pass-phrase-file.")
        return str(click.prompt("Pass phrase", hide_input=True, confirmation_prompt="Again", err=True))
    if file is None:
        return ""
    try:
        lines = file.read_bytes().decode().splitlines()
    except UnicodeDecodeError as error:
        raise click.BadParameter("this is not UTF-8", param_hint="--pass-phrase-file") from error
    if not lines or not lines[0]:
        raise click.BadParameter(f"{file} has no first line", param_hint="--pass-phrase-file")
    return lines[0]
