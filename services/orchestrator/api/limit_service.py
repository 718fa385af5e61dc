"""LimitService: limits that differ from the plan's for one user, one key or the tenant as a whole."""

from dataclasses import dataclass

import grpc
from i2v.admin.v1 import limit_pb2, limit_pb2_grpc

from services.orchestrator.api import admin_messages, proto_values
from services.orchestrator.api.acting import Acting
from services.orchestrator.domain.audit import Act
from services.orchestrator.domain.limits.limit import Subject
from services.orchestrator.domain.limits.override import Override, limit_of, subject_of
from services.orchestrator.ports.tenants import LimitOverrides
from services.reasons import AccessReason
from services.rpc.auth import USER_CHARACTERS


@dataclass(frozen=True, slots=True)
class LimitService(limit_pb2_grpc.LimitServiceServicer):
    """Answers the RPCs of limit.proto."""

    overrides: LimitOverrides
    acting: Acting

    async def SetLimit(
        self, request: limit_pb2.SetLimitRequest, context: grpc.ServicerContext
    ) -> limit_pb2.LimitOverride:
        """Stores an override."""
        named = proto_values.resource_id(request.tenant, "tenants", field="tenant")
        async with self.acting.change("SetLimit", _target(named, request), request.reason, tenant=named) as act:
            override = _override(request, request.most if request.HasField("most") else None, act)
            await self.overrides.put(named, override, act)
        return _message(named, override)

    async def UnsetLimit(
        self, request: limit_pb2.UnsetLimitRequest, context: grpc.ServicerContext
    ) -> limit_pb2.UnsetLimitResponse:
        """Removes an override."""
        named = proto_values.resource_id(request.tenant, "tenants", field="tenant")
        async with self.acting.change("UnsetLimit", _target(named, request), request.reason, tenant=named) as act:
            await self.overrides.remove(named, _override(request, None, act), act)
        return limit_pb2.UnsetLimitResponse()

    async def ListLimits(
        self, request: limit_pb2.ListLimitsRequest, context: grpc.ServicerContext
    ) -> limit_pb2.ListLimitsResponse:
        """Returns all overrides of a tenant."""
        named = proto_values.resource_id(request.tenant, "tenants", field="tenant")
        found = await self.overrides.of_tenant(named)
        return limit_pb2.ListLimitsResponse(limits=[_message(named, each) for each in found])


def _target(named: str, request: limit_pb2.SetLimitRequest | limit_pb2.UnsetLimitRequest) -> str:
    whose = f"/users/{request.user}" if request.user else f"/keys/{request.key}" if request.key else ""
    return f"tenants/{named}{whose} {request.limit}"


def _override(request: limit_pb2.SetLimitRequest | limit_pb2.UnsetLimitRequest, most: int | None, act: Act) -> Override:
    """Returns the override of a request. Raises InvalidInput."""
    limit = limit_of(request.limit, most)
    given = {Subject.USER: request.user, Subject.KEY: request.key}
    if any(bool(text) != (limit.subject is subject) for subject, text in given.items()):
        what = f"is {request.limit!r}; give exactly the user or key that it begins with, and for a tenant's neither"
        raise proto_values.refuse("limit", what, AccessReason.LIMIT_UNKNOWN)
    if len(request.user) > USER_CHARACTERS or not request.user.isprintable():
        what = f"has {len(request.user)} characters; give 1 to {USER_CHARACTERS} printable ones"
        raise proto_values.refuse("user", what, AccessReason.LIMIT_UNKNOWN)
    if request.key:
        proto_values.resource_id(f"keys/{request.key}", "keys", field="key")
    return Override(subject_of(limit, request.user, request.key), limit, act.reason, act.actor, act.time)


def _message(named: str, override: Override) -> limit_pb2.LimitOverride:
    kind, _, whose = override.subject.partition(":")
    return limit_pb2.LimitOverride(
        tenant=f"tenants/{named}",
        user=whose if kind == "user" else "",
        key=whose if kind == "key" else "",
        limit=override.limit.key,
        most=override.limit.most,
        reason=override.reason,
        actor=override.actor,
        create_time=admin_messages.moment(override.create_time),
    )
