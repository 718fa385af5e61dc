"""`i2v admin audit`."""

from i2v.admin.v1 import counter_audit_pb2, counter_audit_pb2_grpc

from i2v_client import AsyncClient
from services.client import formatting
from services.client.admin.group import admin
from services.client.commands import command
from services.client.connection import Connection
from services.client.exit_codes import ExitCode
from services.client.terminal import say

CounterDifference = counter_audit_pb2.CounterDifference


@command("audit", admin)
def audit(connection: Connection) -> None:
    """Computes every counter from the holds, the jobs and the ledger, and prints the differences. Repairs nothing.

    It ends with code 1 if there are differences.
    """

    async def work(client: AsyncClient) -> ExitCode:
        stub = counter_audit_pb2_grpc.CounterAuditServiceStub(client.channel())
        found = await client.call(stub.AuditCounters, counter_audit_pb2.AuditCountersRequest())
        say(*([formatting.as_json(found)] if connection.json else lines(found)))
        return ExitCode.SERVICE if found.differences else ExitCode.OK

    connection.run(work)


def lines(found: counter_audit_pb2.AuditCountersResponse) -> list[str]:
    """Returns what an audit found."""
    last = formatting.moment(found.last_audit_time) or "never"
    counted = f"Last audit of what had changed: {last}, {found.last_audit_differences} differences."
    if not found.differences:
        return ["Every counter is the sum of what it counts.", counted]
    rows = [
        (
            CounterDifference.Kind.Name(each.kind).lower(),
            each.tenant,
            each.subject or "tenant" if not each.job else each.job,
            each.measure,
            each.period,
            _amounts(each.found),
            _amounts(each.expected),
        )
        for each in found.differences
    ]
    head = ("COMPARED", "TENANT", "WHOSE", "WHAT", "PERIOD", "HAS", "SHOULD HAVE")
    more = ["There are more."] if found.more else []
    return [*formatting.columns([head, *rows]), *more, counted]


def _amounts(shown: counter_audit_pb2.AuditedAmounts) -> str:
    credit = f", credit {shown.credit}" if shown.credit else ""
    return f"held {shown.held}, used {shown.used}{credit}"
