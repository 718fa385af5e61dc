"""UserService: deletions of end users, for operators and for tenants' own admins."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime

import grpc
from i2v.admin.v1 import user_pb2, user_pb2_grpc

from services.orchestrator.api import page_tokens, proto_values
from services.orchestrator.api.acting import Acting, tenant_of
from services.orchestrator.domain.user_deletion import Holdings, Obstacle, State, UserDeletion, pseudonym, redacted
from services.orchestrator.ports.clock_and_ids import Clock
from services.orchestrator.ports.service_secrets import ServiceSecrets
from services.orchestrator.ports.user_deletions import UserDeletions
from services.reasons import CallReason, RequestReason
from services.rpc.auth import USER_CHARACTERS

SECRET = "user-pseudonyms"
STATES: Mapping[State, user_pb2.UserDeletion.State.ValueType] = {
    State.DELETING: user_pb2.UserDeletion.DELETING,
    State.REMOVING_BYTES: user_pb2.UserDeletion.REMOVING_BYTES,
    State.DONE: user_pb2.UserDeletion.DONE,
}
OBSTACLES: Mapping[Obstacle, user_pb2.UserDeletion.Obstacle.ValueType] = {
    Obstacle.NOTHING: user_pb2.UserDeletion.OBSTACLE_UNSPECIFIED,
    Obstacle.UNFINISHED_JOBS: user_pb2.UserDeletion.UNFINISHED_JOBS,
    Obstacle.LEGAL_HOLD: user_pb2.UserDeletion.LEGAL_HOLD,
    Obstacle.COUNTER_AUDIT: user_pb2.UserDeletion.COUNTER_AUDIT,
}


@dataclass(frozen=True, slots=True)
class UserService(user_pb2_grpc.UserServiceServicer):
    """Answers the RPCs of user.proto."""

    deletions: UserDeletions
    secrets: ServiceSecrets
    acting: Acting
    clock: Clock

    async def DeleteUser(
        self, request: user_pb2.DeleteUserRequest, context: grpc.ServicerContext
    ) -> user_pb2.DeleteUserResponse:
        """Begins the deletion of a user, or counts what it would be about."""
        tenant, user = tenant_of(request.tenant), request.user
        if not (1 <= len(user) <= USER_CHARACTERS and user.isprintable() and user.strip()):
            what = f"has {len(user)} characters; give 1 to {USER_CHARACTERS} printable ones"
            raise proto_values.refuse("user", what, CallReason.USER_MALFORMED)
        if request.dry_run:
            return user_pb2.DeleteUserResponse(found=_holdings(await self.deletions.holdings(tenant, user)))
        named = proto_values.request_id(request.request_id)
        alias = pseudonym(await self.secrets.secret(SECRET), tenant, user, named)
        # The log outlives the user, so it never has the user's id.
        target, reason = f"tenants/{tenant}/users/{alias}", redacted(request.reason, user, alias)
        async with self.acting.change("DeleteUser", target, reason, tenant=tenant) as act:
            asked = UserDeletion(id=named, tenant=tenant, user=user, pseudonym=alias, create_time=act.time)
            begun = await self.deletions.begin(asked, act)
        found = await self.deletions.holdings(tenant, user) if begun.user else Holdings()
        return user_pb2.DeleteUserResponse(deletion=_deletion(begun), found=_holdings(found))

    async def GetUserDeletion(
        self, request: user_pb2.GetUserDeletionRequest, context: grpc.ServicerContext
    ) -> user_pb2.UserDeletion:
        """Returns a deletion."""
        found = re.fullmatch(r"(tenants/[^/]*)/userDeletions/([0-9a-f-]{36})", request.name)
        if found is None:
            what = f"is {request.name[:200]!r}; it looks like `tenants/…/userDeletions/…`"
            raise proto_values.refuse("name", what, RequestReason.NAME_MALFORMED)
        return _deletion(await self.deletions.get(tenant_of(found[1], field="name"), found[2]))

    async def ListUserDeletions(
        self, request: user_pb2.ListUserDeletionsRequest, context: grpc.ServicerContext
    ) -> user_pb2.ListUserDeletionsResponse:
        """Returns a page of deletions, the newest first."""
        tenant, size = tenant_of(request.tenant), proto_values.page_size(request.page_size)
        place = page_tokens.decode(request.page_token, ["user deletions", tenant], 2)
        found = await self.deletions.page(tenant, before=_place(place), limit=size + 1)
        token = ""
        if len(found) > size:
            last = found[size - 1]
            token = page_tokens.encode([last.create_time.isoformat(), last.id], ["user deletions", tenant])
        return user_pb2.ListUserDeletionsResponse(deletions=map(_deletion, found[:size]), next_page_token=token)


def _place(given: list[str] | None) -> tuple[datetime, str] | None:
    if given is None:
        return None
    try:
        return datetime.fromisoformat(given[0]), given[1]
    except ValueError:
        raise page_tokens.malformed() from None


def _holdings(given: Holdings) -> user_pb2.UserHoldings:
    return user_pb2.UserHoldings(**asdict(given))


def _deletion(given: UserDeletion) -> user_pb2.UserDeletion:
    message = user_pb2.UserDeletion(
        name=f"tenants/{given.tenant}/userDeletions/{given.id}",
        user=given.user,
        pseudonym=given.pseudonym,
        state=STATES[given.state],
        obstacle=OBSTACLES[given.obstacle],
        deleted=_holdings(given.deleted),
        create_time=proto_values.timestamp(given.create_time),
    )
    if given.erase_time is not None:
        message.erase_time.CopyFrom(proto_values.timestamp(given.erase_time))
    if given.end_time is not None:
        message.end_time.CopyFrom(proto_values.timestamp(given.end_time))
    return message
