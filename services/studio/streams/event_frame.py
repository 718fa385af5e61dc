"""EventFrame: a message of a watch, encoded once for all streams that get the same message."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from google.protobuf.message import Message
from i2v.v1 import job_pb2, usage_pb2
from sse_starlette import ServerSentEvent

from services.studio.resources import json_message
from services.studio.streams import event_line

KEPT = 1024
"""Messages that are kept encoded. One of a job comes to all its streams within milliseconds."""
LAST = ("succeeded", "failed", "cancelled")
"""The kinds of events that end a job."""
UNKNOWN = "unknown"
"""The kind of an event that only a newer API knows."""


@dataclass(frozen=True, slots=True)
class EventFrame:
    """What is sent for a message."""

    data: bytes
    """Empty: nothing."""
    sequence: int = 0
    """Of the event; 0: it has none."""
    last: bool = False
    """Whether the stream ends with it."""


Decode = Callable[[bytes], EventFrame]
"""Makes the frame of a message of gRPC."""


@lru_cache(KEPT)
def of_job(message: bytes) -> EventFrame:
    """Returns the frame of a WatchJobResponse."""
    response = job_pb2.WatchJobResponse.FromString(message)
    if response.WhichOneof("response") != "event":
        waits = response.heartbeat.queue_place
        return EventFrame(encoded(response.heartbeat, "heartbeat") if waits else b"")
    event = response.event
    kind = event.WhichOneof("event") or UNKNOWN
    return EventFrame(encoded(event, kind, event.sequence), event.sequence, kind in LAST)


@lru_cache(KEPT)
def of_usage(message: bytes) -> EventFrame:
    """Returns the frame of a WatchUsageResponse."""
    response = usage_pb2.WatchUsageResponse.FromString(message)
    kind = response.WhichOneof("response") or UNKNOWN
    return EventFrame(b"" if kind in ("heartbeat", UNKNOWN) else encoded(getattr(response, kind), kind))


@lru_cache(KEPT)
def line_of_job(message: bytes) -> EventFrame:
    """Returns a line for people of a WatchJobResponse."""
    response = job_pb2.WatchJobResponse.FromString(message)
    if response.WhichOneof("response") != "event":
        return EventFrame(event_line.waiting(response.heartbeat).encode())
    event = response.event
    return EventFrame(event_line.of(event).encode(), event.sequence, event.WhichOneof("event") in LAST)


def encoded(message: Message, kind: str, sequence: int = 0) -> bytes:
    """Returns a server-sent event: the kind in the spelling of JSON, the number as its id, the message as JSON."""
    first, *rest = kind.split("_")
    name = first + "".join(map(str.capitalize, rest))
    text = json_message.to_json(message).decode()
    return ServerSentEvent(text, event=name, id=str(sequence) if sequence else None, sep="\n").encode()
