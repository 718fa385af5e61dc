"""Row <-> object, in one place."""

from collections.abc import Mapping
from dataclasses import asdict, fields
from datetime import datetime
from typing import Any, TypeVar, cast, get_args

from sqlalchemy import Row

from services.orchestrator.domain import spec
from services.orchestrator.domain.asset import Asset
from services.orchestrator.domain.event import Body, Event, JobError, PromptWritten, Unrecognized, VideoOutput
from services.orchestrator.domain.job import Job, State
from services.orchestrator.domain.ledger import Entry, Kind
from services.orchestrator.domain.media_info import AudioInfo, PictureInfo, VideoInfo
from services.orchestrator.domain.paid_call import Call, PaidCall
from services.orchestrator.domain.spec import Size

T = TypeVar("T")

KINDS: dict[str, type[Body]] = {kind.__name__: kind for kind in get_args(Body)}


def stored(kind: type[T], values: Mapping[str, Any]) -> T:
    """Returns an object of its stored fields. Those that a newer release has added are left out."""
    names = {field.name for field in fields(cast("Any", kind))}
    return kind(**{name: value for name, value in values.items() if name in names})


def job(row: Row[Any]) -> Job:
    """Returns the job of a `jobs` row."""
    return Job(
        id=row.id,
        tenant=row.tenant,
        user=row.user,
        key=row.key,
        capability=row.capability,
        card_version=row.card_version,
        quote_id=row.quote_id,
        request_id=row.request_id,
        spec=spec.from_json(row.spec),
        quote_micros=row.quote_micros,
        price_micros=row.price_micros,
        trace_context=row.trace_context or "",
        resumes=row.resumes or "",
        call=Call(row.call),
        tried=tuple(row.tried or ()),
        written=stored(PromptWritten, row.written) if row.written else None,
        workflow=row.workflow,
        create_time=row.create_time,
        expire_time=row.expire_time,
        state=State(row.state),
        stopping=row.stopping,
        stage=row.stage,
        progress=row.progress,
        attempt=row.attempt,
        last_sequence=row.last_sequence,
        charged_micros=row.charged_micros,
        refunded_micros=row.refunded_micros,
        output=_output(row.output) if row.output else None,
        error=stored(JobError, row.error) if row.error else None,
        start_time=row.start_time,
        end_time=row.end_time,
        delete_time=row.delete_time,
    )


def changing(job: Job) -> dict[str, Any]:
    """Returns the columns of a job that events change."""
    return {
        "state": job.state.value,
        "stopping": job.stopping,
        "call": job.call.value,
        "workflow": job.workflow,
        "expire_time": job.expire_time,
        "stage": job.stage,
        "progress": job.progress,
        "attempt": job.attempt,
        "last_sequence": job.last_sequence,
        "charged_micros": job.charged_micros,
        "output": asdict(job.output) if job.output else None,
        "error": asdict(job.error) if job.error else None,
        "start_time": job.start_time,
        "end_time": job.end_time,
    }


def event_of(row: Row[Any]) -> Event:
    """Returns the event of a `job_events` row."""
    return event(row.sequence, row.time, row.kind, row.body)


def event(sequence: int, time: datetime, kind: str, stored_body: Mapping[str, Any]) -> Event:
    """Returns the event whose body is stored as `body_json` gave it."""
    if kind not in KINDS:
        return Event(sequence, time, Unrecognized(kind))
    body: dict[str, Any] = dict(stored_body)
    if "output" in body:
        body["output"] = _output(body["output"])
    if "error" in body:
        body["error"] = stored(JobError, body["error"])
    for name in ("retry_time", "expire_time"):
        if name in body:
            body[name] = datetime.fromisoformat(body[name])
    return Event(sequence, time, stored(KINDS[kind], body))


def body_json(body: Body) -> dict[str, Any]:
    """Returns an event's body as plain JSON values."""
    values = asdict(body)
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in values.items()}


def asset(row: Row[Any]) -> Asset:
    """Returns the asset of an `assets` row."""
    info: PictureInfo | VideoInfo | AudioInfo
    if row.sample_rate is not None:
        info = AudioInfo(row.media_type, row.duration_s, row.sample_rate, row.channels)
    elif row.frames is None:
        info = PictureInfo(row.media_type, row.width, row.height)
    else:
        info = VideoInfo(row.media_type, row.width, row.height, row.frames, row.fps, row.duration_s, row.audio_s)
    return Asset(row.tenant, row.user, row.sha256, row.size_bytes, info, row.create_time, row.promised or {})


MEASURES = ("width", "height", "frames", "fps", "duration_s", "audio_s", "sample_rate", "channels")


def asset_columns(asset: Asset) -> dict[str, Any]:
    """Returns the columns of an asset."""
    return {
        "tenant": asset.tenant,
        "user": asset.user,
        "sha256": asset.sha256,
        "size_bytes": asset.size_bytes,
        "media_type": asset.info.media_type,
        "create_time": asset.create_time,
        "promised": dict(asset.promised) or None,
    } | {name: getattr(asset.info, name, None) for name in MEASURES}


def entry(row: Row[Any]) -> Entry:
    """Returns the ledger entry of a `ledger_entries` row."""
    return Entry(
        reference=row.reference,
        kind=Kind(row.kind),
        user=row.user,
        key=row.key,
        model=row.model,
        operation=row.operation,
        capability=row.capability,
        card_version=row.card_version,
        quote_id=row.quote_id,
        reserved_micros=row.reserved_micros,
        spent_micros=row.spent_micros,
        credit_micros=row.credit_micros,
        jobs=row.jobs,
        video_ms=row.video_ms,
        vendor_micros=row.vendor_micros,
        slot_ms=row.slot_ms,
        reason=row.reason or "",
        actor=row.actor or "",
        period_time=row.period_time,
        time=row.time,
    )


def entry_columns(entry: Entry) -> dict[str, Any]:
    """Returns the columns of a ledger entry, except the tenant."""
    columns = asdict(entry)
    return columns | {"kind": entry.kind.value, "reason": entry.reason or None, "actor": entry.actor or None}


def paid_call(row: Row[Any]) -> PaidCall:
    """Returns the journal's entry of a `paid_calls` row."""
    return PaidCall(
        row.submission_id,
        row.job_id,
        row.attempt,
        row.provider,
        row.model,
        row.state,
        row.external_ref,
        row.submit_time,
    )


def _output(values: dict[str, Any]) -> VideoOutput:
    return stored(VideoOutput, {**values, "size": Size(**values["size"])})
