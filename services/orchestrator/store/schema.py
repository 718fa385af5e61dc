"""The tables, with the invariants as constraints, so that no code can break them.

* `counters_within_limit`: used + held never exceeds a limit, also when many run at the same time.
* `holds` has a row for each job: what it holds on each of its counters. `jobs_held` demands, at commit, that a job has
  holds, open ones while it has not ended, and settled ones afterwards; `holds_settled`, that settled holds have their
  settlement in the ledger.
* `ledger_entries` is keyed by (reference, kind): a job is reserved once and settled once.
* `job_events_follow`: an event's predecessor exists, carries the number before its own, and is not terminal.
* `paid_calls_one_live`: a job hands over no task while an earlier one may cost money; and `jobs_paid_when_ended`: it
  does not end without paying for one that may.

`migrations/` makes them; a test holds the two against each other.
"""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from services.orchestrator.store.access_schema import api_keys, audit_log, limit_overrides, operators, tenants
from services.orchestrator.store.collection_schema import collection_members, collections
from services.orchestrator.store.deletion_schema import user_deletions
from services.orchestrator.store.library_schema import library_entries, library_tags, renditions
from services.orchestrator.store.money_schema import (
    audited_counters,
    counter_audits,
    counters,
    daily_rollups,
    holds,
    ledger_entries,
    rollup_rounds,
    unaudited_settlements,
    usage_warnings,
)
from services.orchestrator.store.provenance_schema import manifests
from services.orchestrator.store.session_schema import sessions
from services.orchestrator.store.shares_schema import shares
from services.orchestrator.store.table_metadata import TIME as _time
from services.orchestrator.store.table_metadata import metadata
from services.orchestrator.store.upload_schema import uploads
from services.orchestrator.store.webhook_schema import webhook_deliveries, webhook_endpoints
from services.orchestrator.store.worker_schema import backend_drains, executors, run_rates

__all__ = [
    "api_keys",
    "audit_log",
    "audited_counters",
    "backend_drains",
    "collection_members",
    "collections",
    "counter_audits",
    "counters",
    "daily_rollups",
    "executors",
    "holds",
    "ledger_entries",
    "library_entries",
    "library_tags",
    "limit_overrides",
    "manifests",
    "metadata",
    "operators",
    "renditions",
    "rollup_rounds",
    "run_rates",
    "sessions",
    "shares",
    "tenants",
    "unaudited_settlements",
    "uploads",
    "usage_warnings",
    "user_deletions",
    "webhook_deliveries",
    "webhook_endpoints",
]

ENDED = "('succeeded', 'failed', 'cancelled')"
CALLS = "('none', 'submitting', 'accepted', 'charged')"
STATES = "('queued', 'running', 'cancelling', 'reconciling', 'succeeded', 'failed', 'cancelled')"

jobs = sa.Table(
    "jobs",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    # No foreign key: the counters have it, and a second one costs every submission a shared lock on the tenant's row.
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("user", sa.Text, nullable=False),
    sa.Column("key", sa.Text, nullable=False, server_default="", comment="Id of the API key; empty: none."),
    sa.Column("request_id", sa.Text, nullable=False),
    sa.Column("fingerprint", sa.Text, nullable=False, comment="Digest of the spec as it was asked."),
    sa.Column("backend", sa.Text, nullable=False),
    sa.Column("spec", JSONB, nullable=False),
    sa.Column("quote_micros", sa.BigInteger, nullable=False),
    sa.Column("price_micros", sa.BigInteger, nullable=False, comment="The part of the quote that the video costs."),
    sa.Column("capability", sa.Text, nullable=False, server_default="", comment="Of its model; empty: none."),
    sa.Column("card_version", sa.Text, nullable=False, server_default="", comment="Of the price card of the quote."),
    sa.Column("quote_id", sa.Text, nullable=False, server_default="", comment="Of the quote token; empty: none."),
    sa.Column("resumes", sa.Text, sa.ForeignKey("jobs.id"), comment="The job whose paid work this one attaches to."),
    sa.Column("call", sa.Text, nullable=False, server_default="none"),
    sa.Column("tried", JSONB, comment="Models of the capability that were asked before the one of the spec."),
    sa.Column("written", JSONB, comment="The prompt that was written from the spec's scene."),
    sa.Column("workflow", sa.Text, nullable=False, server_default="", comment="Empty: that of the admission."),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column(
        "stopping",
        sa.Boolean,
        nullable=False,
        server_default="false",
        comment="Asked to stop before it became RECONCILING.",
    ),
    sa.Column("stage", sa.Text, nullable=False),
    sa.Column("progress", sa.Double, nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("last_sequence", sa.BigInteger, nullable=False),
    sa.Column("charged_micros", sa.BigInteger),
    sa.Column(
        "refunded_micros", sa.BigInteger, nullable=False, server_default="0", comment="Of the charge, after the end."
    ),
    sa.Column("output", JSONB),
    sa.Column("error", JSONB),
    sa.Column("create_time", _time, nullable=False),
    sa.Column("expire_time", _time, nullable=False),
    sa.Column("start_time", _time),
    sa.Column("end_time", _time),
    sa.Column("ended", sa.Boolean, sa.Computed(f"state IN {ENDED}", persisted=True)),
    sa.Column(
        "events_kept",
        sa.Boolean,
        nullable=False,
        server_default="true",
        comment="False: retention has removed its events.",
    ),
    sa.Column("trace_context", sa.Text, comment="Of its admission; NULL: it was not traced."),
    sa.Column("delete_time", _time, comment="When its user deleted it: they see it no more. NULL: they see it."),
    sa.UniqueConstraint("tenant", "user", "request_id"),
    sa.ForeignKeyConstraint(
        ["id", "ended"], ["holds.job_id", "holds.settled_all"], name="jobs_held", deferrable=True, initially="DEFERRED"
    ),
    sa.Index("jobs_listing", "tenant", "user", "id"),
    sa.Index("jobs_by_state", "tenant", "user", "state", "id"),
    # For operators' lists. Each has the state: a list without one is the newest of every state.
    sa.Index("jobs_of_tenant", "tenant", "state", "id"),
    sa.Index("jobs_of_backend", "backend", "state", "id"),
    sa.Index("jobs_of_model", sa.text("(spec ->> 'model')"), "state", "id"),
    sa.Index("jobs_in_state", "state", "id"),
    sa.Index("jobs_unfinished", "expire_time", postgresql_where=sa.text(f"state NOT IN {ENDED}")),
    sa.Index("jobs_one_resume", "resumes", unique=True, postgresql_where=sa.text(f"state NOT IN {ENDED}")),
    sa.Index(
        "jobs_unfinished_by_backend",
        "backend",
        "state",
        postgresql_where=sa.text("state IN ('queued', 'running', 'cancelling')"),
    ),
    sa.Index(
        "jobs_with_start_timeout",
        "create_time",
        postgresql_where=sa.text("state = 'queued' AND spec ? 'start_timeout_ms'"),
    ),
    sa.Index("jobs_reconciling", "create_time", postgresql_where=sa.text("state = 'reconciling'")),
    # What retention looks for.
    sa.Index("jobs_ended", "end_time", "id", postgresql_where=sa.text("end_time IS NOT NULL")),
    sa.Index("jobs_with_events", "end_time", "id", postgresql_where=sa.text("events_kept AND end_time IS NOT NULL")),
    sa.Index("jobs_resumes", "resumes", postgresql_where=sa.text("resumes IS NOT NULL")),
    sa.Index("jobs_output", sa.text("(output ->> 'asset')"), postgresql_where=sa.text("output IS NOT NULL")),
    sa.CheckConstraint(f"state IN {STATES}", name="state_known"),
    sa.CheckConstraint(f"call IN {CALLS}", name="call_known"),
    sa.CheckConstraint("price_micros BETWEEN 0 AND quote_micros", name="price_within_quote"),
    sa.CheckConstraint(
        f"CASE WHEN state IN {ENDED} THEN call = 'none' OR (call = 'charged' AND charged_micros >= price_micros)"
        " ELSE call <> 'charged' END",
        name="paid_when_ended",
    ),
    sa.CheckConstraint(f"(state IN {ENDED}) = (charged_micros IS NOT NULL)", name="charged_when_ended"),
    sa.CheckConstraint("charged_micros BETWEEN 0 AND quote_micros", name="charged_within_quote"),
    sa.CheckConstraint("refunded_micros BETWEEN 0 AND coalesce(charged_micros, 0)", name="refunded_within_charged"),
    sa.CheckConstraint("(state = 'succeeded') = (output IS NOT NULL)", name="output_when_succeeded"),
    sa.CheckConstraint("(state = 'failed') = (error IS NOT NULL)", name="error_when_failed"),
    sa.CheckConstraint("delete_time IS NULL OR state NOT IN ('queued', 'running')", name="deleted_when_stopped"),
)

job_events = sa.Table(
    "job_events",
    metadata,
    sa.Column("job_id", sa.Text, sa.ForeignKey("jobs.id"), primary_key=True),
    sa.Column("sequence", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("time", _time, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("body", JSONB, nullable=False),
    sa.Column("terminal", sa.Boolean, nullable=False),
    # The event before carries this one's number, so that the primary key finds who follows an event that is removed.
    sa.Column("next", sa.BigInteger, sa.Computed("sequence + 1", persisted=True)),
    sa.Column("previous_terminal", sa.Boolean, sa.Computed("CASE WHEN sequence > 1 THEN false END", persisted=True)),
    sa.UniqueConstraint("job_id", "next", "terminal"),
    sa.ForeignKeyConstraint(
        ["job_id", "sequence", "previous_terminal"],
        ["job_events.job_id", "job_events.next", "job_events.terminal"],
        name="job_events_follow",
    ),
    sa.Index("job_events_fragment", sa.text("(body ->> 'asset')"), postgresql_where=sa.text("kind = 'FragmentReady'")),
    sa.CheckConstraint("sequence >= 1", name="from_one"),
)

assets = sa.Table(
    "assets",
    metadata,
    sa.Column("tenant", sa.Text, sa.ForeignKey("tenants.id"), primary_key=True),
    sa.Column("user", sa.Text, primary_key=True),
    sa.Column("sha256", sa.Text, primary_key=True),
    sa.Column("size_bytes", sa.BigInteger, nullable=False),
    sa.Column("media_type", sa.Text, nullable=False),
    sa.Column("width", sa.Integer),
    sa.Column("height", sa.Integer),
    sa.Column("frames", sa.Integer),
    sa.Column("fps", sa.Double),
    sa.Column("duration_s", sa.Double),
    sa.Column("audio_s", sa.Double, comment="Of the sound of a video; NULL: it has none."),
    sa.Column("sample_rate", sa.Integer),
    sa.Column("channels", sa.Integer),
    sa.Column("promised", JSONB, comment="What a vendor said of it."),
    sa.Column("create_time", _time, nullable=False),
    sa.Column(
        "kept",
        sa.Boolean,
        nullable=False,
        server_default="false",
        comment="Retention does not remove it: it was uploaded, or is the video of a removed job.",
    ),
    sa.Column(
        "hidden",
        sa.Boolean,
        nullable=False,
        server_default="false",
        comment="Its entry is in the trash, or it is a fragment of such a video.",
    ),
    sa.Index("assets_sha256", "tenant", "sha256"),
    sa.CheckConstraint("sha256 ~ '^[0-9a-f]{64}$'", name="sha256_hex"),
    sa.CheckConstraint(
        "CASE WHEN media_type LIKE 'audio/%' THEN num_nonnulls(duration_s, sample_rate, channels) = 3"
        " ELSE num_nonnulls(width, height) = 2 END",
        name="measured",
    ),
)

paid_calls = sa.Table(
    "paid_calls",
    metadata,
    sa.Column("submission_id", sa.Text, primary_key=True),
    sa.Column("job_id", sa.Text, sa.ForeignKey("jobs.id"), nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("provider", sa.Text, nullable=False),
    sa.Column("model", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("external_ref", sa.Text, comment="The vendor's name of the task."),
    sa.Column("submit_time", _time, nullable=False),
    sa.Column("answer_time", _time),
    sa.Column("settle_time", _time),
    sa.UniqueConstraint("job_id", "attempt"),
    sa.UniqueConstraint("provider", "external_ref"),
    sa.Index("paid_calls_of_provider", "provider", "submit_time", "submission_id", postgresql_concurrently=True),
    sa.Index("paid_calls_one_live", "job_id", unique=True, postgresql_where=sa.text("state <> 'released'")),
    sa.CheckConstraint("state IN ('submitting', 'accepted', 'charged', 'released')", name="state_known"),
    sa.CheckConstraint(
        "(state <> 'submitting' OR external_ref IS NULL) AND (state <> 'accepted' OR external_ref IS NOT NULL)",
        name="accepted_by_reference",
    ),
    sa.CheckConstraint("(state IN ('charged', 'released')) = (settle_time IS NOT NULL)", name="settled_when_known"),
)

service_secrets = sa.Table(
    "service_secrets",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("secret", sa.LargeBinary, nullable=False),
    sa.Column("create_time", _time, nullable=False, server_default=sa.func.now()),
    sa.CheckConstraint("length(secret) = 32", name="secret_long"),
)
