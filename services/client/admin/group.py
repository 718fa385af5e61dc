"""`i2v admin`, and what its commands have in common: reasons and lengths of time."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import click
from google.protobuf.timestamp_pb2 import Timestamp

from services.client.commands import i2v, named

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
DAYS_MOST = 36_500


@i2v.group()
def admin() -> None:
    """For operators, with their key. A tenant's admin may use keys, users and log."""


class Period(click.ParamType[timedelta]):
    """A length of time: `90d`, `12h`, `30m` or `0s`."""

    name = "period"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """Returns the length."""
        found = re.fullmatch(r"(\d{1,9})([smhd])", str(value))
        if found is None:
            self.fail("a number with s, m, h or d, such as 90d", param, ctx)
        period = timedelta(seconds=int(found[1]) * UNITS[found[2]])
        if period > timedelta(days=DAYS_MOST):
            self.fail(f"at most {DAYS_MOST}d", param, ctx)
        return period


TENANT = click.argument("tenant", callback=named("tenants"))
REASON = click.option("--reason", required=True, help="Why; it goes into the audit log.")
PERIOD = Period()


def since_now(period: timedelta | None) -> Timestamp | None:
    """Returns the moment after a period from now."""
    if period is None:
        return None
    moment = Timestamp()
    moment.FromDatetime(datetime.now(UTC) + period)
    return moment
