"""UsageService: budgets and the ledger."""

from dataclasses import dataclass

import grpc
from i2v.v1 import usage_pb2, usage_pb2_grpc

from services.orchestrator.api import proto_values
from services.orchestrator.api.api_key_cache import ApiKeys
from services.orchestrator.domain.account import Account
from services.orchestrator.domain.budget_period import period
from services.orchestrator.domain.ledger import Entry, Kind
from services.orchestrator.ports.accounts import Accounts
from services.orchestrator.ports.clock_and_ids import Clock

KINDS = {
    Kind.RESERVE: usage_pb2.LedgerEntry.RESERVE,
    Kind.SETTLE: usage_pb2.LedgerEntry.SETTLE,
    Kind.REFUND: usage_pb2.LedgerEntry.REFUND,
}


@dataclass(frozen=True, slots=True)
class UsageService(usage_pb2_grpc.UsageServiceServicer):
    """Answers the RPCs of usage.proto."""

    accounts: Accounts
    tenants: ApiKeys
    clock: Clock

    async def GetUsage(self, request: usage_pb2.GetUsageRequest, context: grpc.ServicerContext) -> usage_pb2.Usage:
        """Returns the accounts of the current period and the newest ledger entries."""
        caller = self.tenants.caller()
        statement = await self.accounts.statement(caller.tenant, caller.user, caller.plan)
        usage = statement.usage
        return usage_pb2.Usage(
            plan=caller.plan.name,
            period=period(self.clock.now()),
            reset_time=proto_values.timestamp(usage.resets_at),
            tenant=_account(usage.tenant, caller.plan.tenant_active_jobs),
            user=_account(usage.user, caller.plan.user_active_jobs),
            entries=[_entry(entry) for entry in statement.entries],
        )


def _account(account: Account, active_jobs_limit: int) -> usage_pb2.Account:
    return usage_pb2.Account(
        budget=proto_values.money(account.budget_micros),
        reserved=proto_values.money(account.reserved_micros),
        spent=proto_values.money(account.spent_micros),
        active_jobs=account.active_jobs,
        active_jobs_limit=active_jobs_limit,
    )


def _entry(entry: Entry) -> usage_pb2.LedgerEntry:
    return usage_pb2.LedgerEntry(
        job=f"jobs/{entry.job_id}",
        kind=KINDS[entry.kind],
        reserved=proto_values.money(entry.reserved_micros),
        spent=proto_values.money(entry.spent_micros),
        create_time=proto_values.timestamp(entry.time),
    )
