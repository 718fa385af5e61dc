"""A job's events as lines for people who read them in a terminal."""

from collections.abc import Callable, Mapping
from datetime import UTC
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp
from i2v.v1 import job_pb2


def of(event: job_pb2.JobEvent) -> str:
    """Returns the line of an event: its time in UTC, its number, what happened."""
    kind = event.WhichOneof("event") or "unknown"
    said = SAID.get(kind)
    more = said(getattr(event, kind)) if said else ""
    line = f"{_time(event.create_time)} {event.sequence:>4}  {kind.replace('_', ' '):<16}  {more}"
    return f"{_shown(line).rstrip()}\n"


def waiting(heartbeat: job_pb2.Heartbeat) -> str:
    """Returns the line of a job that waits in a queue; empty if it does not."""
    if not heartbeat.queue_place:
        return ""
    start = heartbeat.expected_start_time
    when = f", starts about {_time(start)}" if heartbeat.HasField("expected_start_time") else ""
    return f"{'':15}waits at place {heartbeat.queue_place}{when}\n"


def _time(moment: Timestamp) -> str:
    return f"{moment.ToDatetime(tzinfo=UTC):%H:%M:%S}"


def _shown(text: str) -> str:
    """Returns a text without what would change the terminal, such as escape sequences and new lines."""
    return "".join(each if each.isprintable() else " " for each in text)


def _money(amount: job_pb2.Money) -> str:
    return f"{amount.amount_micros / 1e6:.6f} {amount.currency_code}".rstrip()


SAID: Mapping[str, Callable[[Any], str]] = {
    "admitted": lambda it: f"at most {_money(it.quote)}",
    "started": lambda it: f"attempt {it.attempt}",
    "continued": lambda it: f"{it.progress:4.0%}  from block {it.block}",
    "progressed": lambda it: f"{it.progress:4.0%}  {it.stage}",
    "fragment_ready": lambda it: f"{it.progress:4.0%}  fragment {it.index}, {it.frames} frames: {it.asset}",
    "retrying": lambda it: it.error.message,
    "submitting": lambda it: it.provider,
    "accepted": lambda it: it.provider,
    "released": lambda it: f"{it.provider} {it.reason}",
    "reconciling": lambda it: it.error.message,
    "prompt_written": lambda it: it.prompt,
    "warned": lambda it: it.message,
    "rerouted": lambda it: f"to {it.model}: {it.error.message}",
    "succeeded": lambda it: f"100%  {_money(it.charged)}: {it.output.asset}",
    "failed": lambda it: f"{it.error.reason}: {it.error.message} {_money(it.charged)}",
    "cancelled": lambda it: _money(it.charged),
}
"""What is said of an event, by its name in the oneof `event` of JobEvent."""
