"""Tokens of sessions, and tickets, as credentials of calls."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from services.errors import PermissionDenied, Unauthenticated
from services.orchestrator.api.access_rules import BY_PATH
from services.orchestrator.api.authentication import Authentication, digest
from services.orchestrator.api.credential import TenantCredential
from services.orchestrator.api.session_tokens import SessionTokens
from services.orchestrator.domain.api_key import ApiKey, Scope
from services.orchestrator.domain.session import LASTS, TICKET_LASTS, Session
from services.orchestrator.domain.tenant import Tenant, TenantState
from services.orchestrator.ports.credentials import SessionAccess, TenantAccess
from services.rpc.auth import Principal
from tests.support.builders import NOON, FakeClock
from tests.unit.orchestrator.test_authentication import Credentials

TOKEN, TICKET = "i2vs_" + "A" * 43, "i2vt_" + "A" * 43
GET, SUBMIT = "/i2v.v1.JobService/GetJob", "/i2v.v1.JobService/SubmitJob"
SESSIONS = "/i2v.v1.SessionService/"
KEY = ApiKey("k1", "studio", "web")
SESSION = Session(tenant="studio", user="ann", key="k1", scopes=KEY.scopes, create_time=NOON, expire_time=NOON + LASTS)
WAITS = replace(SESSION, ticket_expire_time=NOON + TICKET_LASTS)
ACCESS = TenantAccess(Tenant("studio", "test"), (), KEY)


class Rig:
    """An authentication that knows one session and one ticket."""

    def __init__(self) -> None:
        self.clock = FakeClock(NOON)
        self.lookups = 0
        self.known = {digest(TOKEN): SessionAccess(SESSION, ACCESS), digest(TICKET): SessionAccess(WAITS, ACCESS)}
        tokens = SessionTokens(self.find, self.clock)
        self.authentication = Authentication(Credentials(), {}, self.clock, sessions=tokens)

    async def find(self, sha256: str) -> SessionAccess | None:
        self.lookups += 1
        return self.known.get(sha256)

    def change(self, session: Session = SESSION, access: TenantAccess = ACCESS, of: str = TOKEN) -> None:
        self.known[digest(of)] = SessionAccess(session, access)

    async def refused(self, token: str) -> str:
        with pytest.raises(Unauthenticated) as caught:
            await self.authentication.verify(token)
        assert token not in caught.value.message
        return caught.value.reason

    async def may(self, token: str, method: str) -> str:
        caller = Principal(await self.authentication.verify(token), "ann")
        try:
            self.authentication.authorize(method, caller)
        except PermissionDenied as error:
            return error.reason
        return ""


async def test_a_session_is_looked_up_once_in_seconds_and_calls_for_its_user_with_its_key() -> None:
    rig = Rig()
    for _ in range(5):
        credential = await rig.authentication.verify(TOKEN)
        assert isinstance(credential, TenantCredential)
    assert (rig.lookups, credential.tenant, credential.user, credential.key_id) == (1, "studio", "ann", "k1")
    assert credential.actor == "tenants/studio/keys/k1"
    assert TOKEN not in repr(credential)
    assert rig.authentication.take_uses() == {"k1": NOON}


async def test_a_session_has_no_scope_that_its_key_does_not_have() -> None:
    rig = Rig()
    read = replace(KEY, scopes=frozenset({Scope.READ}))
    rig.change(access=replace(ACCESS, key=read))
    assert await rig.may(TOKEN, GET) == ""
    assert await rig.may(TOKEN, SUBMIT) == "SCOPE_MISSING"
    rig.change(replace(SESSION, scopes=frozenset({Scope.READ})))
    rig.authentication.forget_sessions()
    assert await rig.may(TOKEN, SUBMIT) == "SCOPE_MISSING"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda rig: rig.known.clear(), "SESSION_ENDED"),
        (lambda rig: rig.change(replace(SESSION, expire_time=NOON)), "SESSION_ENDED"),
        (lambda rig: rig.change(WAITS), "SESSION_ENDED"),
        (lambda rig: rig.change(access=replace(ACCESS, key=replace(KEY, revoke_time=NOON))), "API_KEY_REVOKED"),
        (lambda rig: rig.change(access=replace(ACCESS, key=replace(KEY, expire_time=NOON))), "API_KEY_EXPIRED"),
        (
            lambda rig: rig.change(access=replace(ACCESS, tenant=Tenant("studio", "test", TenantState.DELETED))),
            "API_KEY_REVOKED",
        ),
    ],
    ids=["deleted", "expired", "not begun", "key revoked", "key expired", "tenant deleted"],
)
async def test_an_ended_session_is_refused_and_its_open_streams_end(change: Callable[[Rig], None], reason: str) -> None:
    rig = Rig()
    caller = Principal(await rig.authentication.verify(TOKEN), "ann")
    assert await rig.authentication.refusal(GET, caller) is None
    change(rig)
    rig.authentication.forget()
    assert await rig.refused(TOKEN) == reason
    ended = await rig.authentication.refusal(GET, caller)
    assert ended is not None and ended.reason == reason


async def test_a_session_that_expires_while_it_is_cached_is_refused() -> None:
    rig = Rig()
    rig.change(replace(SESSION, expire_time=NOON + timedelta(seconds=1)))
    await rig.authentication.verify(TOKEN)
    rig.clock.advance(1)
    assert await rig.refused(TOKEN) == "SESSION_ENDED"
    assert rig.lookups == 1


async def test_a_ticket_begins_a_session_and_does_nothing_else() -> None:
    rig = Rig()
    assert await rig.may(TICKET, SESSIONS + "ExchangeTicket") == ""
    for method, rule in BY_PATH.items():
        assert (await rig.may(TICKET, method) == "") == rule.ticket, method
    assert await rig.may(TOKEN, SESSIONS + "ExchangeTicket") == "TICKET_ONLY"
    assert TICKET not in repr(await rig.authentication.verify(TICKET))


async def test_a_ticket_that_is_unknown_used_or_late_is_refused() -> None:
    rig = Rig()
    rig.change(SESSION, of=TICKET)
    assert await rig.refused(TICKET) == "TICKET_ENDED"
    rig.change(WAITS, of=TICKET)
    rig.authentication.forget_sessions()
    rig.clock.advance(TICKET_LASTS.total_seconds())
    assert await rig.refused(TICKET) == "TICKET_ENDED"
    assert await rig.refused("i2vt_" + "B" * 43) == "TICKET_ENDED"


async def test_a_suspended_tenant_reads_with_its_session_but_begins_none() -> None:
    rig = Rig()
    suspended = replace(ACCESS, tenant=Tenant("studio", "test", TenantState.SUSPENDED))
    rig.change(access=suspended)
    rig.change(WAITS, suspended, of=TICKET)
    assert await rig.may(TOKEN, GET) == ""
    assert await rig.may(TICKET, SESSIONS + "ExchangeTicket") == "TENANT_SUSPENDED"
    for method in ("CreateSession", "CreateSignInLink"):
        assert await rig.may(TOKEN, SESSIONS + method) == "TENANT_SUSPENDED"


async def test_without_sessions_their_tokens_are_unknown_keys() -> None:
    callers = Authentication(Credentials(), {}, FakeClock(NOON))
    for token in (TOKEN, TICKET):
        with pytest.raises(Unauthenticated) as caught:
            await callers.verify(token)
        assert caught.value.reason == "API_KEY_UNKNOWN"
