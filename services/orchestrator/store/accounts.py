"""PostgresAccounts: the accounts as they stand, and whether they are what was booked on them."""

import sqlalchemy as sa

from services.orchestrator.domain.account import Account, Usage
from services.orchestrator.domain.budget_period import period, period_end
from services.orchestrator.domain.ledger import Entry
from services.orchestrator.domain.plan import Plan
from services.orchestrator.ports.accounts import Statement
from services.orchestrator.ports.clock_and_ids import Clock
from services.orchestrator.store import row_mapping, schema
from services.orchestrator.store.database import Database

ENTRIES = 100
"""Ledger entries in a statement, at most."""

AUDIT = sa.text("""
SELECT count(*) FROM accounts
LEFT JOIN LATERAL (
    SELECT coalesce(sum(reserved_micros), 0) AS reserved, coalesce(sum(spent_micros), 0) AS spent,
        coalesce(sum(spent_micros) FILTER (WHERE kind = 'refund'), 0) AS refunded,
        count(*) FILTER (WHERE kind = 'reserve') - count(*) FILTER (WHERE kind = 'settle') AS active
    FROM ledger_entries WHERE account = accounts.id
) AS booked ON true
LEFT JOIN (
    SELECT account, sum(amount_micros) FILTER (WHERE settled_micros IS NULL) AS reserved, sum(settled_micros) AS spent,
        count(*) FILTER (WHERE settled_micros IS NULL) AS active
    FROM holds GROUP BY account
) AS held ON held.account = accounts.id
WHERE (reserved_micros, spent_micros, active_jobs) IS DISTINCT FROM (booked.reserved, booked.spent, booked.active)
    OR (reserved_micros, spent_micros, active_jobs) IS DISTINCT FROM
        (coalesce(held.reserved, 0), coalesce(held.spent, 0) + booked.refunded, coalesce(held.active, 0))
""")


class PostgresAccounts:
    """The accounts of one database."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def statement(self, tenant: str, user: str, plan: Plan) -> Statement:
        """Returns the accounts of the current period and the user's newest ledger entries."""
        now = self._clock.now()
        table, ledger = schema.accounts, schema.ledger_entries
        query = sa.select(table).where(table.c.tenant == tenant, table.c.user.in_(["", user]))
        async with self._database.reading() as connection:
            held = list(await connection.execute(query))
            found = {row.user: row for row in held if row.period == period(now)}
            entries: list[Entry] = []
            if user in found:
                newest = sa.select(ledger).where(ledger.c.account == found[user].id)
                newest = newest.order_by(ledger.c.time.desc(), ledger.c.kind.desc()).limit(ENTRIES)
                entries = [row_mapping.entry(row) for row in await connection.execute(newest)]

        def account(name: str, budget: int) -> Account:
            # A job that was begun in an earlier period is unfinished in this one too.
            active = sum(row.active_jobs for row in held if row.user == name)
            if name not in found:
                return Account(budget, active_jobs=active)
            # The row carries the budget of the last admission; the plan's is the one that counts from now on.
            return Account(budget, found[name].reserved_micros, found[name].spent_micros, active)

        tenants, users = account("", plan.tenant_budget_micros), account(user, plan.user_budget_micros)
        return Statement(Usage(tenants, users, period_end(now)), entries)

    async def audit(self) -> int:
        """Returns how many accounts differ from the sums of their ledger entries, or of their holds: 0, always."""
        async with self._database.reading() as connection:
            return int((await connection.execute(AUDIT)).scalar_one())
