"""CreditService: what operators add to the month's limit on spending, or take from it."""

from dataclasses import dataclass

import grpc
from i2v.admin.v1 import credit_pb2, credit_pb2_grpc

from services.errors import NotFound
from services.orchestrator.api import proto_values
from services.orchestrator.api.acting import Acting
from services.orchestrator.api.authentication import Authentication
from services.orchestrator.domain.tenant import demand_not_deleted
from services.orchestrator.ports.credentials import Credentials
from services.orchestrator.ports.credits import Booking, Credits
from services.reasons import AccessReason, CallReason
from services.rpc.auth import USER_CHARACTERS

AMOUNT_MOST = 10**15
"""Micros of one booking."""


@dataclass(frozen=True, slots=True)
class CreditService(credit_pb2_grpc.CreditServiceServicer):
    """Answers the RPCs of credit.proto."""

    credits: Credits
    credentials: Credentials
    authentication: Authentication
    acting: Acting

    async def BookCredit(
        self, request: credit_pb2.BookCreditRequest, context: grpc.ServicerContext
    ) -> credit_pb2.BookCreditResponse:
        """Books a credit or a debit."""
        named = proto_values.resource_id(request.tenant, "tenants", field="tenant")
        target = f"tenants/{named}/users/{request.user}" if request.user else f"tenants/{named}"
        async with self.acting.change("BookCredit", target, request.reason, tenant=named) as act:
            reference = proto_values.request_id(request.request_id)
            amount = request.amount_micros
            if not 1 <= abs(amount) <= AMOUNT_MOST:
                what = f"is {amount}; 1 to {AMOUNT_MOST} micros are allowed, negative for a debit"
                raise proto_values.refuse("amount_micros", what, AccessReason.AMOUNT_OUT_OF_RANGE)
            if len(request.user) > USER_CHARACTERS or not request.user.isprintable():
                what = f"has {len(request.user)} characters; give 1 to {USER_CHARACTERS} printable ones, or none"
                raise proto_values.refuse("user", what, CallReason.USER_MALFORMED)
            access = await self.credentials.of_tenant(named)
            if access is None:
                raise NotFound("tenant", f"tenants/{named}")
            demand_not_deleted(access.tenant)
            caller = self.authentication.caller_of(access, request.user)
            booked = await self.credits.book(Booking(reference, caller, amount), act)
        left = None if booked.left_micros is None else proto_values.money(booked.left_micros)
        return credit_pb2.BookCreditResponse(left=left, period=booked.period, repeated_request=booked.repeated)
