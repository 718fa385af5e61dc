"""Shows the limits and how their use changes: a table first, then a line for each change and warning."""

from contextlib import aclosing
from datetime import datetime

from i2v.v1 import usage_pb2

from i2v_client import AsyncClient
from i2v_client.errors import Unreachable
from services.client import error_messages, formatting, limit_text
from services.client.follow_job import RETRY_FOR_S
from services.client.terminal import say


async def show(client: AsyncClient, *, json: bool) -> None:
    """Shows them until Ctrl-C."""

    def report_outage(error: Unreachable) -> None:
        say(f"{error_messages.outage(error)} Waiting for it, up to {RETRY_FOR_S:.0f} s.", err=True)

    currency = ""
    async with aclosing(client.watch_usage(retry_for_s=RETRY_FOR_S, on_outage=report_outage)) as responses:
        async for response in responses:
            if response.HasField("state"):
                currency = response.state.currency_code
            say(*([formatting.as_json(response)] if json else _lines(response, currency)))


def _lines(response: usage_pb2.WatchUsageResponse, currency: str) -> list[str]:
    match response.WhichOneof("response"):
        case "state":
            rows = [limit_text.row(each, currency) for each in response.state.limits]
            return [f"Plan {response.state.plan}.", *formatting.columns([limit_text.HEAD, *rows])]
        case "change":
            return [f"{_clock()}  {limit_text.line(response.change, currency)}"]
        case "warning":
            return [f"{_clock()}  {formatting.warning(response.warning.message)}"]
    return []


def _clock() -> str:
    """Returns the local time of day, for a person who watches."""
    return f"{datetime.now().astimezone():%H:%M:%S}"
