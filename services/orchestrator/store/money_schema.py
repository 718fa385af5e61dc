"""The tables of limits and money: counters, warnings, holds, the ledger, and what was audited of them."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from services.orchestrator.store.table_metadata import TIME, metadata

counters = sa.Table(
    "counters",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    sa.Column("tenant", sa.Text, sa.ForeignKey("tenants.id"), nullable=False),
    sa.Column("subject", sa.Text, nullable=False, comment="Empty: the tenant as a whole; user:… or key:…."),
    sa.Column("measure", sa.Text, nullable=False, comment="What is counted; the class Measure knows its unit."),
    sa.Column("period", sa.Text, nullable=False, comment="Empty: at a time."),
    sa.Column("limit", sa.BigInteger, comment="As of the last admission; NULL: unlimited."),
    sa.Column("used", sa.BigInteger, nullable=False),
    sa.Column("held", sa.BigInteger, nullable=False),
    sa.Column("credit", sa.BigInteger, nullable=False, comment="What operators have added to the limit."),
    sa.Column(
        "removed",
        sa.BigInteger,
        nullable=False,
        server_default="0",
        comment="Of what is used: by jobs that retention has removed with their holds.",
    ),
    sa.UniqueConstraint("tenant", "subject", "measure", "period"),
    sa.Index("counters_credited", "tenant", "subject", postgresql_where=sa.text("credit <> 0")),
    sa.CheckConstraint("used >= 0 AND held >= 0", name="not_negative"),
    sa.CheckConstraint('used + held <= "limit" + credit', name="within_limit"),
)

usage_warnings = sa.Table(
    "usage_warnings",
    metadata,
    sa.Column("counter", sa.BigInteger, sa.ForeignKey("counters.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("threshold", sa.SmallInteger, primary_key=True, autoincrement=False, comment="Percent of the limit."),
    sa.Column("time", TIME, nullable=False),
    sa.Column("again_time", TIME, comment="From when it may be raised again; NULL: not in this period."),
    sa.Column(
        "taken", sa.Boolean, nullable=False, server_default="false", comment="A process has logged and counted it."
    ),
    sa.Index("usage_warnings_open", "time", postgresql_where=sa.text("NOT taken")),
)

ledger_entries = sa.Table(
    "ledger_entries",
    metadata,
    # No foreign key to the jobs: the ledger outlives them.
    sa.Column("reference", sa.Text, primary_key=True, comment="The job, or the id of a credit or a debit."),
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("user", sa.Text, nullable=False, comment="Empty: the tenant as a whole."),
    sa.Column("key", sa.Text, nullable=False),
    sa.Column("model", sa.Text, nullable=False),
    sa.Column("operation", sa.Text, nullable=False),
    sa.Column("capability", sa.Text, nullable=False),
    sa.Column("card_version", sa.Text, nullable=False),
    sa.Column("quote_id", sa.Text, nullable=False),
    sa.Column("reserved_micros", sa.BigInteger, nullable=False),
    sa.Column("spent_micros", sa.BigInteger, nullable=False),
    sa.Column("credit_micros", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column(
        "jobs", sa.Integer, nullable=False, server_default="0", comment="That brought a video or cost something."
    ),
    sa.Column("video_ms", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("reason", sa.Text, comment="Of a credit or a debit."),
    sa.Column("actor", sa.Text, comment="Who gave the credit or the debit."),
    sa.Column("period_time", TIME, nullable=False, comment="Decides the period: when the job was admitted."),
    sa.Column("time", TIME, nullable=False),
    sa.Column("vendor_micros", sa.BigInteger, nullable=False, server_default="0", comment="What vendors are paid."),
    sa.Column("slot_ms", sa.BigInteger, nullable=False, server_default="0", comment="Of a local backend's slots."),
    sa.Index("ledger_entries_newest", "tenant", "user", "time"),
    sa.Index("ledger_entries_of_tenant", "tenant", "time"),
    sa.Index("ledger_entries_rare", "tenant", "time", postgresql_where=sa.text("kind NOT IN ('reserve', 'settle')")),
    sa.Index("ledger_entries_period", "tenant", "period_time"),
    sa.CheckConstraint(
        "(kind = 'reserve' AND reserved_micros >= 0 AND spent_micros = 0 AND credit_micros = 0)"
        " OR (kind = 'settle' AND reserved_micros <= 0 AND spent_micros BETWEEN 0 AND -reserved_micros"
        " AND credit_micros = 0)"
        " OR (kind = 'refund' AND reserved_micros = 0 AND spent_micros <= 0 AND credit_micros = 0)"
        " OR (kind = 'credit' AND reserved_micros = 0 AND spent_micros = 0 AND credit_micros > 0)"
        " OR (kind = 'debit' AND reserved_micros = 0 AND spent_micros = 0 AND credit_micros < 0)"
        " OR (kind = 'balance' AND reserved_micros = 0)",
        name="booking_known",
    ),
    sa.CheckConstraint(
        "(kind IN ('credit', 'debit')) = (reason IS NOT NULL AND actor IS NOT NULL)", name="reason_when_by_hand"
    ),
)

holds = sa.Table(
    "holds",
    metadata,
    # Arrays in place of a row for each counter: rows cost a submission much more time.
    sa.Column("job_id", sa.Text, primary_key=True),
    sa.Column("counters", ARRAY(sa.BigInteger), nullable=False, comment="Ids, in the order of their names."),
    sa.Column("measures", ARRAY(sa.Text), nullable=False),
    sa.Column("amounts", ARRAY(sa.BigInteger), nullable=False, comment="What is set aside on each counter."),
    sa.Column("settled", ARRAY(sa.BigInteger), comment="What of it was used; NULL: the holds are open."),
    sa.Column("settled_all", sa.Boolean, sa.Computed("settled IS NOT NULL", persisted=True), nullable=False),
    sa.Column("settled_kind", sa.Text, sa.Computed("CASE WHEN settled IS NOT NULL THEN 'settle' END", persisted=True)),
    sa.UniqueConstraint("job_id", "settled_all"),
    sa.ForeignKeyConstraint(
        ["job_id", "settled_kind"], ["ledger_entries.reference", "ledger_entries.kind"], name="holds_settled"
    ),
    sa.CheckConstraint(
        "cardinality(measures) = cardinality(counters) AND cardinality(amounts) = cardinality(counters)"
        " AND cardinality(settled) = cardinality(counters) AND array_position(counters, NULL) IS NULL"
        " AND array_position(amounts, NULL) IS NULL AND array_position(settled, NULL) IS NULL",
        name="complete",
    ),
    sa.CheckConstraint("0 <= ALL (amounts) AND 0 <= ALL (settled)", name="not_negative"),
)

unaudited_settlements = sa.Table(
    "unaudited_settlements",
    metadata,
    # Written in the transaction of a settlement or a refund, and removed by the audit that has seen it.
    sa.Column("job_id", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("before", ARRAY(sa.BigInteger), comment="What of the holds was used before; NULL: nothing."),
)

audited_counters = sa.Table(
    "audited_counters",
    metadata,
    sa.Column("counter", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("used", sa.BigInteger, nullable=False, comment="Sum of its settled holds, as of the last audit."),
    sa.Column("wrong", sa.Boolean, nullable=False, server_default="false", comment="It differed at the last audit."),
    sa.Index("audited_counters_wrong", "counter", postgresql_where=sa.text("wrong")),
)

counter_audits = sa.Table(
    "counter_audits",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("time", TIME, comment="NULL: there was none yet."),
    sa.Column("differences", sa.Integer, nullable=False, server_default="0"),
    sa.CheckConstraint("id = 1", name="one_row"),
)

daily_rollups = sa.Table(
    "daily_rollups",
    metadata,
    # Sums of the ledger. They have no user, and outlive the bookings that a fold replaces.
    sa.Column("day", sa.Date, primary_key=True, comment="Of the admission, in UTC."),
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("model", sa.Text, primary_key=True),
    sa.Column("operation", sa.Text, primary_key=True),
    sa.Column("folded", sa.Boolean, primary_key=True, comment="Of bookings that were folded; false: computed again."),
    sa.Column("admitted", sa.BigInteger, nullable=False),
    sa.Column("jobs", sa.BigInteger, nullable=False),
    sa.Column("video_ms", sa.BigInteger, nullable=False),
    sa.Column("charged_micros", sa.BigInteger, nullable=False),
    sa.Column("vendor_micros", sa.BigInteger, nullable=False),
    sa.Column("slot_ms", sa.BigInteger, nullable=False),
    sa.Index("daily_rollups_of_tenant", "tenant", "day"),
)

rollup_rounds = sa.Table(
    "rollup_rounds",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("time", TIME, comment="NULL: everything is to be computed."),
    sa.CheckConstraint("id = 1", name="one_row"),
)
