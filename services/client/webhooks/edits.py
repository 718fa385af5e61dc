"""`i2v webhooks create`, `update`, `rm` and `rotate`."""

import json
from collections.abc import Sequence
from datetime import timedelta

import click
from i2v.v1 import webhook_pb2

from i2v_client import AsyncClient
from services.client.commands import command
from services.client.connection import Connection
from services.client.period import PERIOD
from services.client.spec_options import utf8
from services.client.terminal import say
from services.client.webhooks.group import WEBHOOK, each_text, print_endpoint, print_secret, stub, webhooks


def _text(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """Returns a text that may be missing: an empty one is a change too."""
    return None if value is None else utf8(context, parameter, value)


@command("create", webhooks)
@click.argument("url", callback=utf8)
@click.option(
    "--event",
    "events",
    multiple=True,
    callback=each_text,
    help="Such as job.succeeded. Repeatable. Default: all but fragments.",
)
@click.option("--description", default="", callback=utf8, help="For people.")
def create(connection: Connection, url: str, events: Sequence[str], description: str) -> None:
    """Makes an endpoint. Stdout gets its secret alone, which verifies the requests and is shown only once."""

    async def work(client: AsyncClient) -> None:
        print_secret(connection, await client.webhooks.create(url, events, description=description))

    connection.run(work)


@command("update", webhooks)
@WEBHOOK
@click.option("--url", callback=_text, help="Where requests go.")
@click.option("--event", "events", multiple=True, callback=each_text, help="What it gets in place of what it got.")
@click.option("--description", callback=_text, help="For people.")
@click.option("--activate", is_flag=True, help="It gets events again, and if it was paused all that has waited.")
@click.option("--disable", is_flag=True, help="It gets no events, and they are not kept for it.")
def update(
    connection: Connection,
    name: str,
    url: str | None,
    events: Sequence[str],
    description: str | None,
    activate: bool,
    disable: bool,
) -> None:
    """Changes an endpoint."""
    if activate and disable:
        raise click.UsageError("Give either --activate or --disable.")
    endpoint = webhook_pb2.WebhookEndpoint(name=name, url=url or "", event_types=events, description=description or "")
    request = webhook_pb2.UpdateEndpointRequest(endpoint=endpoint)
    given = {
        "url": url,
        "event_types": events or None,
        "description": description,
        "state": activate or disable or None,
    }
    request.update_mask.paths.extend(field for field, value in given.items() if value is not None)
    if not request.update_mask.paths:
        raise click.UsageError("Say what to change: see --help.")
    states = webhook_pb2.WebhookEndpoint
    request.endpoint.state = states.ACTIVE if activate else states.DISABLED if disable else states.STATE_UNSPECIFIED

    async def work(client: AsyncClient) -> None:
        print_endpoint(connection, await client.call(stub(client).UpdateEndpoint, request))

    connection.run(work)


@command("rm", webhooks)
@WEBHOOK
def rm(connection: Connection, name: str) -> None:
    """Deletes an endpoint. What waits for it is not sent."""

    async def work(client: AsyncClient) -> None:
        await client.webhooks.delete(name)
        say(json.dumps({"name": name, "deleted": True}) if connection.json else f"{name} is deleted.")

    connection.run(work)


@command("rotate", webhooks)
@WEBHOOK
@click.option("--overlap", type=PERIOD, default="24h", show_default=True, help="How long the old secret signs too.")
def rotate(connection: Connection, name: str, overlap: timedelta) -> None:
    """Gives an endpoint another secret. Stdout gets the secret alone, which is shown only once."""

    async def work(client: AsyncClient) -> None:
        print_secret(connection, await client.webhooks.rotate(name, overlap))

    connection.run(work)
