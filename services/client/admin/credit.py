"""`i2v admin credit` and `i2v admin debit`: what a tenant may spend in the current month."""

import uuid
from decimal import Decimal, InvalidOperation
from typing import Any

import click
from i2v.admin.v1 import credit_pb2, credit_pb2_grpc

from i2v_client import AsyncClient
from services.client import formatting, money_format
from services.client.admin.group import REASON, TENANT, admin
from services.client.commands import command
from services.client.connection import Connection
from services.client.terminal import say

MOST = Decimal(10**9)


class Amount(click.ParamType[int]):
    """An amount of money, such as 12.50, as micros."""

    name = "amount"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Returns the micros."""
        try:
            amount = Decimal(str(value))
            micros = amount * 1_000_000
            if not 0 < amount <= MOST or micros != int(micros):
                raise InvalidOperation
        except (InvalidOperation, ValueError, OverflowError):
            self.fail("more than 0 and at most a billion, with at most six decimal places, such as 12.50", param, ctx)
        return int(micros)


OF_USER = click.option("--of-user", "user", default="", help="Also for this user. Default: only the tenant as a whole.")
REQUEST_ID = click.option("--request-id", default="", help="A UUID, to repeat a booking safely. Default: a new one.")


@command("credit", admin)
@TENANT
@click.argument("amount", type=Amount())
@OF_USER
@REQUEST_ID
@REASON
def credit(connection: Connection, tenant: str, amount: int, user: str, request_id: str, reason: str) -> None:
    """Adds an amount to what a tenant may spend in this month, until its end."""
    _book(connection, tenant, amount, user, request_id, reason)


@command("debit", admin)
@TENANT
@click.argument("amount", type=Amount())
@OF_USER
@REQUEST_ID
@REASON
def debit(connection: Connection, tenant: str, amount: int, user: str, request_id: str, reason: str) -> None:
    """Takes an amount from what a tenant may spend in this month."""
    _book(connection, tenant, -amount, user, request_id, reason)


def _book(connection: Connection, tenant: str, micros: int, user: str, request_id: str, reason: str) -> None:
    request = credit_pb2.BookCreditRequest(
        request_id=request_id or str(uuid.uuid4()), tenant=tenant, user=user, amount_micros=micros, reason=reason
    )

    async def work(client: AsyncClient) -> None:
        stub: Any = credit_pb2_grpc.CreditServiceStub(client.channel())
        booked = await client.call(stub.BookCredit, request)
        if connection.json:
            say(formatting.as_json(booked))
            return
        left = money_format.text(booked.left) if booked.HasField("left") else "unlimited"
        before = "It had been booked before. " if booked.repeated_request else ""
        month = f"the month {booked.period}" if booked.period.startswith("from ") else booked.period
        say(f"{before}{left} is left in {month}.")

    connection.run(work)
