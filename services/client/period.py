"""Lengths of time as options of commands."""

import re
from datetime import timedelta
from typing import Any

import click

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
DAYS_MOST = 36_500


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


PERIOD = Period()
