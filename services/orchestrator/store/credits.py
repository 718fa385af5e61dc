"""PostgresCredits: what operators add to the month's limit on spending, or take from it."""

from collections.abc import Mapping, Sequence

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from services.errors import PreconditionFailed, RequestIdReused
from services.orchestrator.domain.audit import Act
from services.orchestrator.domain.ledger import Entry, Kind
from services.orchestrator.domain.limits.calendar import Per
from services.orchestrator.domain.limits.hold import CountedLimit, limits_of
from services.orchestrator.domain.limits.limit import Subject
from services.orchestrator.domain.limits.measure import Spend
from services.orchestrator.domain.tenant import demand_not_deleted
from services.orchestrator.ports.credits import Booked, Booking
from services.orchestrator.store import audit_log, row_mapping, tenants
from services.orchestrator.store.database import Database
from services.orchestrator.store.schema import ledger_entries
from services.reasons import AccessReason

# Makes a counter that does not exist yet. A debit makes it without an amount, so that the check below decides.
MAKE = sa.text("""
INSERT INTO counters (tenant, subject, measure, period, "limit", used, held, credit)
VALUES (:tenant, :subject, :measure, :period, :most, 0, 0, 0) ON CONFLICT DO NOTHING
""")
LOCK = sa.text("""
SELECT used, held, credit FROM counters
WHERE tenant = :tenant AND subject = :subject AND measure = :measure AND period = :period FOR UPDATE
""")
# The limit is that of the last admission. A debit is checked against the present one, which may be smaller.
CREDIT = sa.text("""
UPDATE counters SET credit = credit + :amount,
    "limit" = CASE WHEN :amount < 0 THEN CAST(:most AS bigint) ELSE "limit" END
WHERE tenant = :tenant AND subject = :subject AND measure = :measure AND period = :period
""")


MONTHS = (Per.MONTH, Per.ANNIVERSARY)


class PostgresCredits:
    """The credits of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def book(self, booking: Booking, act: Act) -> Booked:
        """Books a credit or a debit. Raises NotFound, PreconditionFailed, RequestIdReused."""
        counted = _budgets(booking, act)
        async with self._database.writing() as connection:
            # One booking of a tenant at a time, so that a repeat finds the first one.
            demand_not_deleted(await tenants.locked(connection, booking.caller.tenant))
            repeated = await self._is_booked(connection, booking)
            if not repeated and all(each.limit.most is None for each in counted):
                what = "The plan does not limit what is spent in a month, so there is nothing to add to or take from."
                raise PreconditionFailed(what, reason=AccessReason.BUDGET_UNLIMITED)
            amount = 0 if repeated else booking.amount_micros
            left = [await self._add(connection, booking.caller.tenant, each, amount) for each in counted]
            if not repeated:
                await self._enter(connection, booking, act)
            done = {"repeated": True} if repeated else {"credit_micros": amount}
            await audit_log.write(connection, act, {}, done)
        last = counted[-1]
        limited = [
            (most_left, each.period.key)
            for each, most_left in zip(counted, left, strict=True)
            if most_left is not None and each.limit.subject is last.limit.subject
        ]
        least, period = min(limited) if limited else (None, last.period.key)
        return Booked(least, period, repeated)

    async def _is_booked(self, connection: AsyncConnection, booking: Booking) -> bool:
        query = sa.select(ledger_entries).where(ledger_entries.c.reference == booking.reference)
        row = (await connection.execute(query)).one_or_none()
        if row is None:
            return False
        caller = booking.caller
        if (row.tenant, row.user, row.credit_micros) != (caller.tenant, caller.user, booking.amount_micros):
            raise RequestIdReused(metadata={"tenant": row.tenant})
        return True

    async def _add(self, connection: AsyncConnection, tenant: str, counted: CountedLimit, amount: int) -> int | None:
        """Adds to the credit of one counter, and returns what is left of its limit."""
        most, name = counted.limit.most, counted.counter
        named: Mapping[str, object] = {
            "tenant": tenant,
            "subject": name.subject,
            "measure": name.measure,
            "period": name.period,
        }
        await connection.execute(MAKE, {**named, "most": most})
        row = (await connection.execute(LOCK, named)).one()
        left = None if most is None else most + row.credit - row.used - row.held
        if left is not None and amount < 0 and left + amount < 0:
            whose = "user" if name.subject else "tenant"
            what = f"Of the {whose}'s limit {max(0, left)} micros are left, less than {-amount}. Nothing was booked."
            raise PreconditionFailed(
                what, reason=AccessReason.DEBIT_TOO_LARGE, metadata={"subject": whose, "left": str(max(0, left))}
            )
        if amount:
            await connection.execute(CREDIT, {**named, "amount": amount, "most": most})
        return None if left is None else max(0, left + amount)

    async def _enter(self, connection: AsyncConnection, booking: Booking, act: Act) -> None:
        entry = Entry(
            reference=booking.reference,
            kind=Kind.CREDIT if booking.amount_micros > 0 else Kind.DEBIT,
            user=booking.caller.user,
            credit_micros=booking.amount_micros,
            reason=act.reason,
            actor=act.actor,
            period_time=act.time,
            time=act.time,
        )
        columns = row_mapping.entry_columns(entry) | {"tenant": booking.caller.tenant}
        await connection.execute(sa.insert(ledger_entries).values(columns))


def _budgets(booking: Booking, act: Act) -> Sequence[CountedLimit]:
    """Returns the limits on a month's spending of the tenant, then of the user if one is named: in the order of locks.

    Months of the calendar are always counted, so that the credits of their counters equal those of the ledger.
    """
    subjects = (Subject.TENANT, Subject.USER) if booking.caller.user else (Subject.TENANT,)
    spending = [
        each
        for each in limits_of(booking.caller, act.time)
        if each.limit.measure == Spend() and each.limit.per in MONTHS and each.limit.subject in subjects
    ]
    return sorted(spending, key=lambda each: each.counter)
