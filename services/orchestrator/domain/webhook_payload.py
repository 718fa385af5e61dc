"""What is sent to an endpoint: the JSON of each type of event. Pure.

`data.event` of a job's event is its `i2v.v1.JobEvent` in the JSON of protobuf; a test holds the two against each other.
"""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from services.orchestrator.domain import event as events
from services.orchestrator.domain.event import Event, JobError, VideoOutput
from services.orchestrator.domain.price import CURRENCY


@dataclass(frozen=True, slots=True)
class JobFact:
    """Something happened to a job."""

    job_id: str
    user: str
    event: Event


@dataclass(frozen=True, slots=True)
class AssetFact:
    """An asset came into the library of a user, or left it."""

    sha256: str
    user: str
    about: dict[str, Any]
    """As it is stored: `kind`, `size_bytes` and `job_id`; and `cause` (`uploaded`, `made`, `restored`), or
    `permanent`."""


@dataclass(frozen=True, slots=True)
class UsageFact:
    """The use of a limit has reached a threshold."""

    about: dict[str, Any]
    """As it is stored: `subject`, `measure` and `period` of the counter, `threshold`, what is `counted`, the `most`."""


@dataclass(frozen=True, slots=True)
class TestFact:
    """An admin tests the endpoint."""

    __test__ = False  # not a test of pytest

    endpoint_id: str


Fact = JobFact | AssetFact | UsageFact | TestFact


def payload(event_type: str, time: datetime, fact: Fact) -> str:
    """Returns the body of a delivery: the same text for the same arguments."""
    content = {"type": event_type, "timestamp": timestamp(time), "data": _data(fact)}
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"))


def timestamp(time: datetime) -> str:
    """Returns a moment as protobuf's JSON has it."""
    text = time.replace(tzinfo=None).isoformat(timespec="microseconds")
    whole, _, micros = text.partition(".")
    if micros == "000000":
        return f"{whole}Z"
    return f"{whole}.{micros.removesuffix('000')}Z"


def _data(fact: Fact) -> dict[str, Any]:
    match fact:
        case JobFact(job_id=job_id, user=user, event=event):
            return {"job": f"jobs/{job_id}", "user": user, "sequence": event.sequence, "event": job_event(event)}
        case AssetFact(sha256=sha256, user=user, about=about):
            return {"asset": f"assets/{sha256}", "user": user} | _asset(about)
        case UsageFact(about=about):
            return _usage(about)
        case TestFact(endpoint_id=endpoint_id):
            return {"webhook": f"webhooks/{endpoint_id}"}


def _asset(about: dict[str, Any]) -> dict[str, Any]:
    said = {"kind": about["kind"], "sizeBytes": str(about["size_bytes"])}
    if about.get("job_id"):
        said["job"] = f"jobs/{about['job_id']}"
    return said | {name: about[name] for name in ("cause", "permanent") if name in about}


def _usage(about: dict[str, Any]) -> dict[str, Any]:
    kind, _, name = about["subject"].partition(":")
    return {
        "subject": kind or "tenant",
        "user": name if kind == "user" else "",
        "key": name if kind == "key" else "",
        "measure": about["measure"],
        "period": about["period"],
        "percent": about["threshold"],
        "counted": str(about["counted"]),
        "limit": str(about["most"]),
    }


def job_event(event: Event) -> dict[str, Any]:
    """Returns a job's event as protobuf's JSON of JobEvent, with the fields that are zero or empty."""
    return {"sequence": str(event.sequence), "createTime": timestamp(event.time)} | _body(event.body)


def _body(body: events.Body | events.Unrecognized) -> dict[str, Any]:
    match body:
        case events.Admitted(quote_micros=quote):
            return {"admitted": {"quote": _money(quote)}}
        case events.Started(attempt=attempt):
            return {"started": {"attempt": attempt}}
        case events.PromptWritten() as written:
            return {
                "promptWritten": {
                    "prompt": written.prompt,
                    "negativePrompt": written.negative_prompt,
                    "source": written.source,
                    "llm": written.llm,
                    "cost": _money(written.cost_micros),
                    "warning": written.warning,
                }
            }
        case events.FragmentReady() as ready:
            return {
                "fragmentReady": {
                    "index": ready.index,
                    "asset": f"assets/{ready.asset}",
                    "frames": ready.frames,
                    "sizeBytes": str(ready.size_bytes),
                    "progress": ready.progress,
                }
            }
        case events.Warned(reason=reason, message=message):
            return {"warned": {"reason": reason, "message": message}}
        case events.Rerouted() as moved:
            return {
                "rerouted": {
                    "model": moved.model,
                    "before": moved.before,
                    "error": _error(moved.error),
                    "price": _money(moved.price_micros),
                }
            }
        case events.Retrying(error=error, retry_time=retry_time):
            return {"retrying": {"error": _error(error), "retryTime": timestamp(retry_time)}}
        case events.Reconciling(error=error):
            return {"reconciling": {"error": _error(error)}}
        case events.Succeeded(output=output, charged_micros=charged):
            return {"succeeded": {"output": _output(output), "charged": _money(charged)}}
        case events.Failed(error=error, charged_micros=charged):
            return {"failed": {"error": _error(error), "charged": _money(charged)}}
        case events.Cancelled(charged_micros=charged):
            return {"cancelled": {"charged": _money(charged)}}
    return {}


def _money(micros: int) -> dict[str, str]:
    return {"amountMicros": str(micros), "currencyCode": CURRENCY}


def _error(error: JobError) -> dict[str, Any]:
    return {
        "reason": error.reason,
        "message": error.message,
        "retryable": error.retryable,
        "resumable": error.resumable,
    }


def _output(output: VideoOutput) -> dict[str, Any]:
    length = timedelta(milliseconds=output.duration_ms)
    whole, rest = divmod(length, timedelta(seconds=1))
    milliseconds = rest // timedelta(milliseconds=1)
    return {
        "asset": f"assets/{output.asset}",
        "size": {"width": output.size.width, "height": output.size.height},
        "frames": output.frames,
        "fps": output.fps,
        "duration": f"{whole}.{milliseconds:03}s" if milliseconds else f"{whole}s",
        "sizeBytes": str(output.size_bytes),
    }
