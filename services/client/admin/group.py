"""`i2v admin`, and what its commands have in common."""

from datetime import UTC, datetime, timedelta

import click
from google.protobuf.timestamp_pb2 import Timestamp

from services.client.commands import i2v, named


@i2v.group()
def admin() -> None:
    """For operators, with their key. A tenant's admin may use keys, users and log."""


TENANT = click.argument("tenant", callback=named("tenants"))
REASON = click.option("--reason", required=True, help="Why; it goes into the audit log.")


def since_now(period: timedelta | None) -> Timestamp | None:
    """Returns the moment after a period from now."""
    if period is None:
        return None
    moment = Timestamp()
    moment.FromDatetime(datetime.now(UTC) + period)
    return moment
