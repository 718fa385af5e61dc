"""The group `i2v webhooks`, and what its commands have in common."""

from typing import Any

import click
from i2v.v1 import webhook_pb2, webhook_pb2_grpc

from i2v_client import AsyncClient
from services.client import formatting
from services.client.commands import i2v, named
from services.client.connection import Connection
from services.client.spec_options import utf8
from services.client.terminal import say

WEBHOOK = click.argument("name", metavar="WEBHOOK", callback=named("webhooks"))
ONCE = "Keep this secret; it cannot be shown again:"


@i2v.group()
def webhooks() -> None:
    """Has the service call your URLs when something happens. For a tenant's admin.

    Each request is a POST in the form of Standard Webhooks, signed with the secret of its endpoint.
    """


def each_text(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    """Refuses values that are not UTF-8."""
    return tuple(utf8(context, parameter, value) for value in values)


def stub(client: AsyncClient) -> Any:
    """Returns the methods of WebhookService."""
    return webhook_pb2_grpc.WebhookServiceStub(client.channel())


def state(found: webhook_pb2.WebhookEndpoint) -> str:
    """Returns `active`, `paused` or `disabled`."""
    return webhook_pb2.WebhookEndpoint.State.Name(found.state).lower()


def print_endpoint(connection: Connection, found: webhook_pb2.WebhookEndpoint) -> None:
    """Prints an endpoint, line by line or as JSON."""
    if connection.json:
        say(formatting.as_json(found))
        return
    why = webhook_pb2.WebhookEndpoint.PauseReason.Name(found.pause_reason).lower() if found.pause_reason else ""
    rows = [
        ("webhook", found.name),
        ("url", found.url),
        ("events", " ".join(found.event_types)),
        ("description", found.description),
        ("state", f"{state(found)} ({why})" if why else state(found)),
        ("paused", _moment(found, "pause_time")),
        ("failing since", _moment(found, "failing_since")),
        ("failures", str(found.failures) if found.failures else ""),
        ("waiting", str(found.waiting)),
        ("dead", str(found.dead)),
        ("created", formatting.moment(found.create_time)),
        ("secret made", formatting.moment(found.secret_create_time)),
        ("old secret until", _moment(found, "old_secret_expire_time")),
    ]
    say(*formatting.columns([row for row in rows if row[1]]))


def print_secret(connection: Connection, made: Any) -> None:
    """Prints an endpoint with its new secret: stdout gets the secret alone."""
    if connection.json:
        say(formatting.as_json(made))
        return
    say(f"{made.endpoint.name} {made.endpoint.url}", ONCE, err=True)
    say(made.secret)


def _moment(found: webhook_pb2.WebhookEndpoint, field: str) -> str:
    return formatting.moment(getattr(found, field)) if found.HasField(field) else ""  # type: ignore[arg-type]
