"""Descriptions of a job's events for people, the same for every display."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from i2v.v1 import job_pb2

from services.client import money_format


@dataclass(frozen=True, slots=True)
class Description:
    """An event in words."""

    text: str
    """What happened, in a line."""
    notable: bool = False
    """Whether it gets a line of its own above a progress bar."""
    warning: str = ""
    """A warning for the person; it is repeated at the end."""


def describe(event: job_pb2.JobEvent) -> Description:
    """Returns the description of an event. An unknown event of a newer server has one too."""
    kind = event.WhichOneof("event")
    if kind is None:
        return Description("something happened that this version of the client does not know", notable=True)
    return DESCRIBED[kind](getattr(event, kind))


def _prompt_written(written: job_pb2.PromptWritten) -> Description:
    return Description(f"prompt written: {written.prompt}", notable=True, warning=written.warning)


def _rerouted(moved: job_pb2.Rerouted) -> Description:
    why = f"{moved.before} does not make it: {moved.error.message}"
    return Description(f"{why} {moved.model} is asked, for {money_format.text(moved.price)}.", notable=True)


def _released(released: job_pb2.Released) -> Description:
    why = f" ({released.reason})" if released.reason else ""
    return Description(f"nothing to pay to {released.provider}{why}", notable=True)


def _fragment_ready(ready: job_pb2.FragmentReady) -> Description:
    return Description(f"fragment {ready.index} arrived, {ready.frames} frames, {ready.progress:.0%}")


def _failed(failed: job_pb2.Failed) -> Description:
    return Description(f"failed: {failed.error.message} {money_format.text(failed.charged)} charged", notable=True)


DESCRIBED: Mapping[str, Callable[..., Description]] = {
    "admitted": lambda admitted: Description(f"admitted, {money_format.text(admitted.quote)} set aside"),
    "started": lambda started: Description(f"attempt {started.attempt} begins"),
    "continued": lambda went: Description(f"continues from block {went.block}, {went.progress:.0%}"),
    "progressed": lambda progressed: Description(f"{progressed.stage} {progressed.progress:.0%}"),
    "fragment_ready": _fragment_ready,
    "cancel_requested": lambda _: Description("asked to stop", notable=True),
    "rerouted": _rerouted,
    "warned": lambda warned: Description(f"warning: {warned.message}", notable=True, warning=warned.message),
    "prompt_written": _prompt_written,
    "submitting": lambda submitting: Description(f"submitted to {submitting.provider}"),
    "accepted": lambda accepted: Description(f"{accepted.provider} has it"),
    "released": _released,
    "reconciling": lambda lost: Description(
        f"the outcome at the vendor is unknown: {lost.error.message}", notable=True
    ),
    "resumed": lambda _: Description("fetches the paid video", notable=True),
    "retrying": lambda broken: Description(f"cannot continue: {broken.error.message} It tries again.", notable=True),
    "succeeded": lambda succeeded: Description(f"succeeded, {money_format.text(succeeded.charged)} charged"),
    "failed": _failed,
    "cancelled": lambda cancelled: Description(
        f"cancelled, {money_format.text(cancelled.charged)} charged", notable=True
    ),
}
"""By the name in the oneof `event` of JobEvent."""
