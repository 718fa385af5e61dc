"""`i2v open`: a link that signs a person in to the page, without the key."""

import html
import tempfile
import webbrowser
from pathlib import Path
from typing import Any

import click
from i2v.v1 import session_pb2, session_pb2_grpc

from i2v_client import AsyncClient
from services.client import formatting
from services.client.commands import command, i2v
from services.client.connection import Connection
from services.client.exit_codes import ExitCode
from services.client.terminal import say

NO_ADDRESS = "The service has no address for browsers: I2V_STUDIO_URL is empty. This is the ticket of a link."
NO_BROWSER = "No browser could be started here. Open the link yourself."


@command("open", i2v)
@click.option("--browser", is_flag=True, help="Opens the link too.")
def open_page(connection: Connection, browser: bool) -> None:
    """Prints a link to the page, which signs you in without the key.

    It works once, for ten minutes, in any browser: keep it to yourself.
    """

    async def work(client: AsyncClient) -> ExitCode | None:
        stub: Any = session_pb2_grpc.SessionServiceStub(client.channel())
        made: session_pb2.SignInLink = await client.call(stub.CreateSignInLink, session_pb2.CreateSignInLinkRequest())
        if connection.json:
            say(formatting.as_json(made))
        else:
            say(made.url or made.ticket)
        if not made.url:
            say(NO_ADDRESS, err=True)
        elif browser and not webbrowser.open(_page_to(made.url).as_uri()):
            say(NO_BROWSER, err=True)
        return None

    connection.run(work)


def _page_to(url: str) -> Path:
    """Writes a page that leads to a URL, for its owner's eyes: every user of the machine reads a browser's arguments.

    It stays, because nothing says when the browser has read it. The link in it works once, for ten minutes.
    """
    page = Path(tempfile.mkdtemp(prefix="i2v-open-")) / "open.html"  # for this user alone
    to = html.escape(url, quote=True)
    page.write_text(f'<!doctype html><title>i2v</title><meta http-equiv="refresh" content="0; url={to}">')
    return page
