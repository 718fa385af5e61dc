"""SessionService: sessions of people, and links that begin them."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import grpc
from i2v.v1 import session_pb2, session_pb2_grpc

from services.errors import PermissionDenied
from services.orchestrator.api import proto_values
from services.orchestrator.api.authentication import Authentication, digest
from services.orchestrator.api.credential import TenantCredential, TicketCredential
from services.orchestrator.api.session_tokens import ticket_ended
from services.orchestrator.domain.api_key import Scope
from services.orchestrator.domain.session import PREFIX, TICKET_LASTS, TICKET_PREFIX, Session, expire_time
from services.orchestrator.domain.tenant import TenantState
from services.orchestrator.ports.clock_and_ids import Clock
from services.orchestrator.ports.credentials import TenantAccess
from services.orchestrator.ports.sessions import Sessions
from services.reasons import AccessReason
from services.rpc.auth import principal

SECRET_BYTES = 32


@dataclass(frozen=True, slots=True)
class SessionService(session_pb2_grpc.SessionServiceServicer):
    """Answers the RPCs of session.proto."""

    sessions: Sessions
    callers: Authentication
    clock: Clock
    studio_url: str
    """`https://host`, how browsers reach our HTTP process; empty: they do not."""

    async def CreateSession(
        self, request: session_pb2.CreateSessionRequest, context: grpc.ServicerContext
    ) -> session_pb2.CreateSessionResponse:
        """Begins a session."""
        credential, token = _tenant(), _secret(PREFIX)
        session = self._new(credential, request.scopes)
        await self.sessions.create(session, digest(token))
        return session_pb2.CreateSessionResponse(session=_message(session, credential.access), token=token)

    async def GetSession(
        self, request: session_pb2.GetSessionRequest, context: grpc.ServicerContext
    ) -> session_pb2.Session:
        """Returns who calls."""
        credential = _tenant()
        if credential.session is not None:
            return _message(replace(credential.session, scopes=credential.scopes), credential.access)
        message = session_pb2.Session(
            tenant=credential.tenant,
            user=principal().user,
            scopes=_scopes(credential.scopes),
            key=credential.key_id,
            suspended=_suspended(credential.access),
        )
        if (ends := _end(credential)) is not None:
            message.expire_time.CopyFrom(proto_values.timestamp(ends))
        return message

    async def DeleteSession(
        self, request: session_pb2.DeleteSessionRequest, context: grpc.ServicerContext
    ) -> session_pb2.DeleteSessionResponse:
        """Ends the session that calls."""
        credential = _tenant()
        if credential.session is None:
            raise PermissionDenied("Only a session ends itself. Revoke a key.", reason=AccessReason.SESSION_ONLY)
        await self.sessions.end(credential.session_sha256)
        self.callers.forget_sessions()
        return session_pb2.DeleteSessionResponse()

    async def CreateSignInLink(
        self, request: session_pb2.CreateSignInLinkRequest, context: grpc.ServicerContext
    ) -> session_pb2.SignInLink:
        """Makes a link that begins a session."""
        session, ticket = self._new(_tenant(), request.scopes), _secret(TICKET_PREFIX)
        expires = min(session.create_time + TICKET_LASTS, session.expire_time)
        await self.sessions.create(replace(session, ticket_expire_time=expires), digest(ticket))
        url = f"{self.studio_url.rstrip('/')}/sign-in/{ticket}" if self.studio_url else ""
        return session_pb2.SignInLink(url=url, ticket=ticket, expire_time=proto_values.timestamp(expires))

    async def ExchangeTicket(
        self, request: session_pb2.ExchangeTicketRequest, context: grpc.ServicerContext
    ) -> session_pb2.CreateSessionResponse:
        """Begins the session of a link."""
        credential, token = principal().credential, _secret(PREFIX)
        assert isinstance(credential, TicketCredential), "the access rule says so"
        session = await self.sessions.begin(credential.ticket_sha256, digest(token), self.clock.now())
        self.callers.forget_sessions()
        if session is None:
            raise ticket_ended()
        return session_pb2.CreateSessionResponse(session=_message(session, credential.access), token=token)

    def _new(self, credential: TenantCredential, asked: Sequence["session_pb2.Session.Scope.ValueType"]) -> Session:
        """Returns a session of the caller. Raises InvalidInput, PermissionDenied."""
        if credential.session is not None:
            what = "A session begins no other session. Call with the key."
            raise PermissionDenied(what, reason=AccessReason.SESSION_FROM_SESSION)
        now, scopes = self.clock.now(), _wanted(asked) or credential.scopes
        if missing := scopes - credential.scopes:
            needed = min(missing).value
            what = f"This key or token does not have the scope {needed}."
            raise PermissionDenied(what, reason=AccessReason.SCOPE_MISSING, metadata={"scope": needed})
        return Session(
            tenant=credential.tenant,
            user=principal().user,
            key=credential.key_id,
            scopes=scopes,
            create_time=now,
            expire_time=expire_time(now, _end(credential)),
        )


def _tenant() -> TenantCredential:
    credential = principal().credential
    assert isinstance(credential, TenantCredential), "the access rules say so"
    return credential


def _end(credential: TenantCredential) -> datetime | None:
    """Returns when a key or a JWT expires."""
    key = credential.access.key
    return credential.expire_time if key is None else key.expire_time


def _secret(prefix: str) -> str:
    return prefix + secrets.token_urlsafe(SECRET_BYTES)


def _suspended(access: TenantAccess) -> bool:
    return access.tenant.state is TenantState.SUSPENDED


def _wanted(given: Sequence["session_pb2.Session.Scope.ValueType"]) -> frozenset[Scope]:
    """Returns the scopes of a request. Raises InvalidInput."""
    by_number = {session_pb2.Session.Scope.Value(scope.name): scope for scope in Scope}
    for index, number in enumerate(given):
        if number not in by_number:
            what = f"is {number}, which is no scope"
            raise proto_values.refuse(f"scopes[{index}]", what, AccessReason.SCOPE_UNKNOWN)
    return frozenset(by_number[number] for number in given)


def _scopes(given: frozenset[Scope]) -> "list[session_pb2.Session.Scope.ValueType]":
    return sorted(session_pb2.Session.Scope.Value(scope.name) for scope in given)


def _message(session: Session, access: TenantAccess) -> session_pb2.Session:
    return session_pb2.Session(
        tenant=session.tenant,
        user=session.user,
        scopes=_scopes(session.scopes),
        create_time=proto_values.timestamp(session.create_time),
        expire_time=proto_values.timestamp(session.expire_time),
        key=session.key,
        suspended=_suspended(access),
    )
