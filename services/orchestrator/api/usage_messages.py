"""Proto from domain: budgets, sums and entries of the ledger."""

from collections.abc import Sequence

from i2v.v1 import usage_pb2

from services.orchestrator.api import proto_values
from services.orchestrator.domain.ledger import Entry, Kind
from services.orchestrator.domain.limits.calendar import Per
from services.orchestrator.domain.limits.limit import Subject
from services.orchestrator.domain.limits.measure import Measure, Spend, UnfinishedJobs
from services.orchestrator.domain.limits.status import LimitStatus
from services.orchestrator.domain.usage import Sums

KINDS = {kind: usage_pb2.LedgerEntry.Kind.Value(kind.name) for kind in Kind}


def account(statuses: Sequence[LimitStatus], subject: Subject) -> usage_pb2.Account:
    """Returns the budget of a subject."""
    money = status_of(statuses, subject, Spend(), Per.MONTH)
    unfinished = status_of(statuses, subject, UnfinishedJobs(), Per.AT_A_TIME)
    return usage_pb2.Account(
        budget=None if money.most is None else proto_values.money(money.most),
        reserved=proto_values.money(money.held),
        spent=proto_values.money(money.used),
        active_jobs=unfinished.held,
        active_jobs_limit=unfinished.most,
    )


def status_of(statuses: Sequence[LimitStatus], subject: Subject, measure: Measure, per: Per) -> LimitStatus:
    """Returns the status of one of the limits that are always counted."""
    return next(
        each for each in statuses if (each.limit.subject, each.limit.measure, each.limit.per) == (subject, measure, per)
    )


def sums(given: Sums) -> usage_pb2.UsageSums:
    """Returns sums of entries."""
    return usage_pb2.UsageSums(
        reserved=proto_values.money(given.reserved_micros),
        spent=proto_values.money(given.spent_micros),
        credit=proto_values.money(given.credit_micros),
        jobs=given.jobs,
        admitted_jobs=given.admitted_jobs,
        video=proto_values.duration(given.video_ms),
        entries=given.entries,
    )


def entry(given: Entry) -> usage_pb2.LedgerEntry:
    """Returns an entry of the ledger."""
    by_job = given.kind in (Kind.RESERVE, Kind.SETTLE, Kind.REFUND)
    return usage_pb2.LedgerEntry(
        job=f"jobs/{given.reference}" if by_job else "",
        reference="" if by_job else given.reference,
        kind=KINDS[given.kind],
        reserved=proto_values.money(given.reserved_micros),
        spent=proto_values.money(given.spent_micros),
        credit=proto_values.money(given.credit_micros) if given.credit_micros else None,
        create_time=proto_values.timestamp(given.time),
        user=given.user,
        key=given.key,
        model=given.model,
        operation=given.operation,
        capability=given.capability,
        card_version=given.card_version,
        quote_id=given.quote_id,
        jobs=given.jobs,
        video=proto_values.duration(given.video_ms),
        period_time=proto_values.timestamp(given.period_time),
        reason=given.reason,
        actor=given.actor,
    )
