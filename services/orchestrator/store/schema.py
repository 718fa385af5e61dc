"""The tables, with the invariants as constraints, so that no code can break them.

* `accounts_within_budget`: reserved + spent never exceeds a budget, whatever runs at the same time.
* `holds` has a row for each account that a job was booked on. `holds_open` demands, at commit, that a job with an open
  hold has not ended; `holds_settled`, that a settled hold has its settlement in the ledger.
* `ledger_entries` is keyed by (account, job, kind): a job is reserved once and settled once on each account.
* `job_events_follow`: an event's predecessor exists, carries the number before its own, and is not terminal.
* `paid_calls_one_live`: a job hands over no task while an earlier one may cost money; and `jobs_paid_when_ended`: it
  does not end without paying for one that may.

`migrations/` makes them; a test holds the two against each other.
"""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

ENDED = "('succeeded', 'failed', 'cancelled')"
CALLS = "('none', 'submitting', 'accepted', 'charged')"
STATES = "('queued', 'running', 'cancelling', 'reconciling', 'succeeded', 'failed', 'cancelled')"

metadata = sa.MetaData(
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "fk": "%(table_name)s_%(column_0_name)s_fkey",
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ck": "%(table_name)s_%(constraint_name)s",
    }
)

_time = sa.DateTime(timezone=True)

tenants = sa.Table(
    "tenants",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("plan", sa.Text, nullable=False),
    sa.Column("create_time", _time, nullable=False, server_default=sa.func.now()),
)

api_keys = sa.Table(
    "api_keys",
    metadata,
    sa.Column("sha256", sa.Text, primary_key=True, comment="Digest of the key; the key itself is kept nowhere."),
    sa.Column("tenant", sa.Text, sa.ForeignKey("tenants.id"), nullable=False),
    sa.Column("create_time", _time, nullable=False, server_default=sa.func.now()),
)

accounts = sa.Table(
    "accounts",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    sa.Column("tenant", sa.Text, sa.ForeignKey("tenants.id"), nullable=False),
    sa.Column("user", sa.Text, nullable=False, comment="Empty: the account of the tenant as a whole."),
    sa.Column("period", sa.Text, nullable=False),
    sa.Column("budget_micros", sa.BigInteger, nullable=False),
    sa.Column("reserved_micros", sa.BigInteger, nullable=False),
    sa.Column("spent_micros", sa.BigInteger, nullable=False),
    sa.Column("active_jobs", sa.Integer, nullable=False),
    sa.UniqueConstraint("tenant", "user", "period"),
    sa.CheckConstraint("reserved_micros >= 0 AND spent_micros >= 0 AND active_jobs >= 0", name="not_negative"),
    sa.CheckConstraint("reserved_micros + spent_micros <= budget_micros", name="within_budget"),
)

jobs = sa.Table(
    "jobs",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    # No foreign key: the accounts have it, and a second one costs every submission a shared lock on the tenant's row.
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("user", sa.Text, nullable=False),
    sa.Column("request_id", sa.Text, nullable=False),
    sa.Column("fingerprint", sa.Text, nullable=False, comment="Digest of the spec as it was asked."),
    sa.Column("backend", sa.Text, nullable=False),
    sa.Column("spec", JSONB, nullable=False),
    sa.Column("quote_micros", sa.BigInteger, nullable=False),
    sa.Column("price_micros", sa.BigInteger, nullable=False, comment="The part of the quote that the video costs."),
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
    # Until the next version, for processes of the previous one: it has these four columns in place of holds.
    sa.Column("tenant_account", sa.BigInteger, nullable=False),
    sa.Column("user_account", sa.BigInteger, nullable=False),
    sa.Column("settled_id", sa.Text, sa.Computed(f"CASE WHEN state IN {ENDED} THEN id END", persisted=True)),
    sa.Column("settled_kind", sa.Text, sa.Computed(f"CASE WHEN state IN {ENDED} THEN 'settle' END", persisted=True)),
    sa.UniqueConstraint("tenant", "user", "request_id"),
    sa.UniqueConstraint("id", "ended", name="jobs_id_ended_key"),
    sa.Index("jobs_listing", "tenant", "user", "id"),
    sa.Index("jobs_unfinished", "expire_time", postgresql_where=sa.text(f"state NOT IN {ENDED}")),
    sa.Index("jobs_one_resume", "resumes", unique=True, postgresql_where=sa.text(f"state NOT IN {ENDED}")),
    sa.Index("jobs_reconciling", "create_time", postgresql_where=sa.text("state = 'reconciling'")),
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
    sa.Column("previous", sa.BigInteger, sa.Computed("NULLIF(sequence - 1, 0)", persisted=True)),
    sa.Column("previous_terminal", sa.Boolean, sa.Computed("false", persisted=True)),
    sa.UniqueConstraint("job_id", "sequence", "terminal"),
    sa.ForeignKeyConstraint(
        ["job_id", "previous", "previous_terminal"],
        ["job_events.job_id", "job_events.sequence", "job_events.terminal"],
        name="job_events_follow",
    ),
    sa.CheckConstraint("sequence >= 1", name="from_one"),
)

ledger_entries = sa.Table(
    "ledger_entries",
    metadata,
    sa.Column("account", sa.BigInteger, sa.ForeignKey("accounts.id"), primary_key=True),
    sa.Column("job_id", sa.Text, sa.ForeignKey("jobs.id"), primary_key=True),
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("reserved_micros", sa.BigInteger, nullable=False),
    sa.Column("spent_micros", sa.BigInteger, nullable=False),
    sa.Column("time", _time, nullable=False),
    sa.Index("ledger_entries_newest", "account", "time"),
    sa.CheckConstraint(
        "(kind = 'reserve' AND reserved_micros >= 0 AND spent_micros = 0)"
        " OR (kind = 'settle' AND reserved_micros <= 0 AND spent_micros BETWEEN 0 AND -reserved_micros)"
        " OR (kind = 'refund' AND reserved_micros = 0 AND spent_micros <= 0)",
        name="booking_known",
    ),
)

holds = sa.Table(
    "holds",
    metadata,
    sa.Column("job_id", sa.Text, primary_key=True),
    sa.Column("account", sa.BigInteger, sa.ForeignKey("accounts.id"), primary_key=True),
    sa.Column("amount_micros", sa.BigInteger, nullable=False, comment="What is set aside on the account."),
    sa.Column("settled_micros", sa.BigInteger, comment="What of it was spent; NULL: the hold is open."),
    sa.Column("job_ended", sa.Boolean, sa.Computed("CASE WHEN settled_micros IS NULL THEN false END", persisted=True)),
    sa.Column(
        "settled_kind", sa.Text, sa.Computed("CASE WHEN settled_micros IS NOT NULL THEN 'settle' END", persisted=True)
    ),
    # Both reach the job: an open hold directly, a settled one through the ledger.
    sa.ForeignKeyConstraint(
        ["job_id", "job_ended"], ["jobs.id", "jobs.ended"], name="holds_open", deferrable=True, initially="DEFERRED"
    ),
    sa.ForeignKeyConstraint(
        ["account", "job_id", "settled_kind"],
        ["ledger_entries.account", "ledger_entries.job_id", "ledger_entries.kind"],
        name="holds_settled",
    ),
    sa.CheckConstraint("amount_micros >= 0", name="amount_not_negative"),
    sa.CheckConstraint("settled_micros BETWEEN 0 AND amount_micros", name="settled_within_amount"),
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
    sa.Index("paid_calls_one_live", "job_id", unique=True, postgresql_where=sa.text("state <> 'released'")),
    sa.CheckConstraint("state IN ('submitting', 'accepted', 'charged', 'released')", name="state_known"),
    sa.CheckConstraint(
        "(state <> 'submitting' OR external_ref IS NULL) AND (state <> 'accepted' OR external_ref IS NOT NULL)",
        name="accepted_by_reference",
    ),
    sa.CheckConstraint("(state IN ('charged', 'released')) = (settle_time IS NOT NULL)", name="settled_when_known"),
)

executors = sa.Table(
    "executors",
    metadata,
    sa.Column("id", sa.Text, primary_key=True, comment="One life of a worker; its jobs carry it in DBOS's tables."),
    sa.Column("worker", sa.Text, comment="Its name; null: from a version whose ids are the names."),
    sa.Column("beat_time", _time, nullable=False),
)
