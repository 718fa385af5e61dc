"""`i2v webhooks list`, `show`, `test`, `deliveries` and `replay`."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import click
from i2v.v1 import webhook_pb2

from i2v_client import AsyncClient
from services.client import formatting, listing
from services.client.commands import command
from services.client.connection import Connection
from services.client.period import PERIOD
from services.client.terminal import say
from services.client.webhooks.group import WEBHOOK, each_text, print_endpoint, state, stub, webhooks

HEAD = ("NAME", "STATE", "EVENTS", "URL")
DELIVERY_HEAD = ("ID", "EVENT", "OF", "STATE", "TRIES", "NEXT TRY", "ANSWER", "ERROR")
STATES = {name.lower(): number for name, number in webhook_pb2.WebhookDelivery.State.items() if number}


@command("list", webhooks)
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True)
def list_(connection: Connection, limit: int) -> None:
    """Lists the endpoints, the newest first."""

    async def work(client: AsyncClient) -> None:
        request = webhook_pb2.ListEndpointsRequest(page_size=min(limit, 200))
        found = await listing.pages(client, stub(client).ListEndpoints, request, "endpoints", limit)
        listing.show(connection, found, HEAD, _row, "There are no webhooks.", err=not found)

    connection.run(work)


@command("show", webhooks)
@WEBHOOK
def show(connection: Connection, name: str) -> None:
    """Shows an endpoint, whether it works, and how much has not arrived."""

    async def work(client: AsyncClient) -> None:
        request = webhook_pb2.GetEndpointRequest(name=name)
        print_endpoint(connection, await client.call(stub(client).GetEndpoint, request))

    connection.run(work)


@command("test", webhooks)
@WEBHOOK
def test(connection: Connection, name: str) -> None:
    """Sends a `webhook.test` to an endpoint. `i2v webhooks deliveries` shows how it went."""

    async def work(client: AsyncClient) -> None:
        made = await client.call(stub(client).TestEndpoint, webhook_pb2.TestEndpointRequest(name=name))
        say(formatting.as_json(made) if connection.json else f"{_id(made)} is on its way.")

    connection.run(work)


@command("deliveries", webhooks)
@WEBHOOK
@click.option("--state", "wanted", type=click.Choice(list(STATES)), help="Only those; dead: the dead letters.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True)
def deliveries(connection: Connection, name: str, wanted: str | None, limit: int) -> None:
    """Lists deliveries of an endpoint, the newest first."""

    async def work(client: AsyncClient) -> None:
        which = STATES[wanted] if wanted else webhook_pb2.WebhookDelivery.STATE_UNSPECIFIED
        request = webhook_pb2.ListDeliveriesRequest(parent=name, state=which, page_size=min(limit, 200))
        found = await listing.pages(client, stub(client).ListDeliveries, request, "deliveries", limit)
        listing.show(connection, found, DELIVERY_HEAD, _delivery_row, "There are no deliveries.", err=not found)

    connection.run(work)


@command("replay", webhooks)
@WEBHOOK
@click.argument("ids", nargs=-1, metavar="[DELIVERY]...", callback=each_text)
@click.option("--dead-since", type=PERIOD, help="All dead ones of the last time, such as 12h or 7d.")
def replay(connection: Connection, name: str, ids: Sequence[str], dead_since: timedelta | None) -> None:
    """Sends deliveries again, under the same ids: those that you name, or the dead ones."""
    if bool(ids) == (dead_since is not None):
        raise click.UsageError("Name deliveries, or give --dead-since.")
    names = [each if "/" in each else f"{name}/deliveries/{each}" for each in ids]
    request = webhook_pb2.ReplayDeliveriesRequest(parent=name, deliveries=names)
    if dead_since is not None:
        request.since.FromDatetime(datetime.now(UTC) - dead_since)

    async def work(client: AsyncClient) -> None:
        done = await client.call(stub(client).ReplayDeliveries, request)
        say(formatting.as_json(done) if connection.json else f"{done.replayed} deliveries are sent again.")

    connection.run(work)


def _row(found: webhook_pb2.WebhookEndpoint) -> tuple[str, ...]:
    return found.name, state(found), " ".join(found.event_types), found.url


def _delivery_row(found: webhook_pb2.WebhookDelivery) -> tuple[str, ...]:
    return (
        _id(found),
        found.event_type,
        found.subject,
        webhook_pb2.WebhookDelivery.State.Name(found.state).lower(),
        str(found.tries),
        formatting.moment(found.next_try_time) if found.HasField("next_try_time") else "",
        str(found.last_status or ""),
        found.last_error,
    )


def _id(found: webhook_pb2.WebhookDelivery) -> str:
    return found.name.rpartition("/")[2]
