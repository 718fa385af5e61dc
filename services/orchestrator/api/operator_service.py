"""OperatorService: the people who run the service."""

from dataclasses import dataclass

import grpc
from i2v.admin.v1 import operator_pb2, operator_pb2_grpc

from services.orchestrator.api import admin_messages, proto_values
from services.orchestrator.api.acting import Acting
from services.orchestrator.api.new_key import new_key
from services.orchestrator.domain import api_key
from services.orchestrator.domain.operator import Operator
from services.orchestrator.ports.operators import Operators


@dataclass(frozen=True, slots=True)
class OperatorService(operator_pb2_grpc.OperatorServiceServicer):
    """Answers the RPCs of operator.proto."""

    operators: Operators
    acting: Acting

    async def CreateOperator(
        self, request: operator_pb2.CreateOperatorRequest, context: grpc.ServicerContext
    ) -> operator_pb2.CreateOperatorResponse:
        """Makes an operator."""
        made = new_key()
        async with self.acting.change("CreateOperator", f"operators/{made.id}", request.reason) as act:
            api_key.demand_name(request.display_name, "display_name")
            ends = admin_messages.expire_time(request.expire_time if request.HasField("expire_time") else None)
            api_key.demand_future(ends, act.time)
            role = admin_messages.role(request.role)
            operator = Operator(made.id, request.display_name, role, create_time=act.time, expire_time=ends)
            await self.operators.create(operator, made.sha256, act)
        return operator_pb2.CreateOperatorResponse(operator=admin_messages.operator(operator), key_text=made.text)

    async def ListOperators(
        self, request: operator_pb2.ListOperatorsRequest, context: grpc.ServicerContext
    ) -> operator_pb2.ListOperatorsResponse:
        """Returns all operators."""
        return operator_pb2.ListOperatorsResponse(operators=map(admin_messages.operator, await self.operators.all()))

    async def RevokeOperator(
        self, request: operator_pb2.RevokeOperatorRequest, context: grpc.ServicerContext
    ) -> operator_pb2.Operator:
        """Ends an operator's key."""
        operator = proto_values.resource_id(request.name, "operators")
        async with self.acting.change("RevokeOperator", f"operators/{operator}", request.reason) as act:
            return admin_messages.operator(await self.operators.revoke(operator, act.time, act))
