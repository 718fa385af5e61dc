"""KeyService: the API keys of tenants, for operators and for the tenants' own admins."""

import re
from dataclasses import dataclass, replace
from datetime import timedelta

import grpc
from i2v.admin.v1 import key_pb2, key_pb2_grpc

from services.orchestrator.api import admin_messages, proto_values
from services.orchestrator.api.acting import Acting, tenant_of
from services.orchestrator.api.new_key import new_key
from services.orchestrator.domain import api_key
from services.orchestrator.domain.api_key import ApiKey
from services.orchestrator.ports.api_keys import ApiKeys
from services.orchestrator.ports.clock_and_ids import Clock
from services.orchestrator.ports.tenants import Tenants
from services.reasons import RequestReason

OVERLAP = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class KeyService(key_pb2_grpc.KeyServiceServicer):
    """Answers the RPCs of key.proto."""

    keys: ApiKeys
    tenants: Tenants
    acting: Acting
    clock: Clock

    async def CreateKey(
        self, request: key_pb2.CreateKeyRequest, context: grpc.ServicerContext
    ) -> key_pb2.CreateKeyResponse:
        """Makes a key."""
        named, made = tenant_of(request.tenant), new_key()
        target = f"tenants/{named}/keys/{made.id}"
        async with self.acting.change("CreateKey", target, request.reason, tenant=named) as act:
            api_key.demand_name(request.display_name, "display_name")
            ends = admin_messages.expire_time(request.expire_time if request.HasField("expire_time") else None)
            api_key.demand_future(ends, act.time)
            key = ApiKey(
                made.id,
                named,
                request.display_name,
                admin_messages.scopes(list(request.scopes)),
                create_time=act.time,
                expire_time=ends,
            )
            await self.keys.create(key, made.sha256, act)
        return key_pb2.CreateKeyResponse(key=admin_messages.key(key), key_text=made.text)

    async def ListKeys(
        self, request: key_pb2.ListKeysRequest, context: grpc.ServicerContext
    ) -> key_pb2.ListKeysResponse:
        """Returns a page of a tenant's keys."""
        named = tenant_of(request.tenant)
        size, after = proto_values.page_size(request.page_size), admin_messages.id_token(request.page_token)
        await self.tenants.get(named)
        found = await self.keys.page(named, after=after, limit=size + 1)
        token = found[size - 1].id if len(found) > size else ""
        return key_pb2.ListKeysResponse(keys=map(admin_messages.key, found[:size]), next_page_token=token)

    async def RotateKey(
        self, request: key_pb2.RotateKeyRequest, context: grpc.ServicerContext
    ) -> key_pb2.RotateKeyResponse:
        """Replaces a key by another one."""
        named, key_id = _named(request.name)
        made, overlap = new_key(), OVERLAP
        if request.HasField("overlap"):
            overlap = timedelta(milliseconds=proto_values.milliseconds(request.overlap, "overlap"))

        target = f"tenants/{named}/keys/{key_id}"
        async with self.acting.change("RotateKey", target, request.reason, tenant=named) as act:

            def decide(old: ApiKey) -> tuple[ApiKey, ApiKey]:
                retired = api_key.retire(old, act.time, overlap)
                return retired, replace(old, id=made.id, create_time=act.time, last_use_time=None)

            api_key.demand_overlap(overlap)
            old, key = await self.keys.rotate(named, key_id, decide, made.sha256, act)
        return key_pb2.RotateKeyResponse(
            key=admin_messages.key(key), key_text=made.text, replaced=admin_messages.key(old)
        )

    async def RevokeKey(self, request: key_pb2.RevokeKeyRequest, context: grpc.ServicerContext) -> key_pb2.Key:
        """Ends a key."""
        named, key_id = _named(request.name)
        target = f"tenants/{named}/keys/{key_id}"
        async with self.acting.change("RevokeKey", target, request.reason, tenant=named) as act:
            ended = await self.keys.change(named, key_id, lambda key: api_key.revoke(key, act.time), act)
        return admin_messages.key(ended)


def _named(name: str) -> tuple[str, str]:
    """Returns tenant and id of the key that a request names. Raises InvalidInput, PermissionDenied."""
    found = re.fullmatch(r"(tenants/[^/]*)/keys/([A-Za-z0-9]{1,64})", name)
    if found is None:
        what = f"is {name[:200]!r}; it looks like `tenants/…/keys/…`"
        raise proto_values.refuse("name", what, RequestReason.NAME_MALFORMED)
    return tenant_of(found[1], field="name"), found[2]
