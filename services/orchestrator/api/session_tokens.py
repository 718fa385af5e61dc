"""SessionTokens: the tokens of sessions, and the tickets that begin them, as credentials, cached for seconds."""

from collections.abc import Awaitable, Callable

from services.errors import Unauthenticated
from services.orchestrator.api.credential import TenantCredential, TicketCredential
from services.orchestrator.api.credential_checks import demand_not_deleted, demand_working
from services.orchestrator.api.lookup_cache import LookupCache
from services.orchestrator.ports.clock_and_ids import Clock
from services.orchestrator.ports.credentials import SessionAccess
from services.reasons import AccessReason


class SessionTokens:
    """The tokens and tickets that one process has read."""

    def __init__(self, find: Callable[[str], Awaitable[SessionAccess | None]], clock: Clock) -> None:
        """`find` returns the session of a token or a ticket by its digest; expired ones too."""
        self._sessions: LookupCache[SessionAccess] = LookupCache(find, clock)
        self._clock = clock

    async def read(self, sha256: str) -> TenantCredential:
        """Returns the credential of a session by the digest of its token. Raises Unauthenticated, Unavailable."""
        found, now = await self._sessions.get(sha256), self._clock.now()
        if found is None or found.session.ticket_expire_time is not None or found.session.expire_time <= now:
            raise Unauthenticated("This session has ended. Sign in again.", reason=AccessReason.SESSION_ENDED)
        self._demand_access(found)
        session, key = found.session, found.access.key
        return TenantCredential(
            session.tenant,
            session.user,
            access=found.access,
            scopes=session.scopes if key is None else session.scopes & key.scopes,
            expire_time=session.expire_time,
            session=session,
            session_sha256=sha256,
        )

    async def read_ticket(self, sha256: str) -> TicketCredential:
        """Returns the credential of a ticket by its digest. Raises Unauthenticated, Unavailable."""
        found, now = await self._sessions.get(sha256), self._clock.now()
        expires = None if found is None else found.session.ticket_expire_time
        if found is None or expires is None or expires <= now:
            raise ticket_ended()
        self._demand_access(found)
        return TicketCredential(found.session.tenant, found.session.user, access=found.access, ticket_sha256=sha256)

    def forget(self) -> None:
        """Makes every cached session old."""
        self._sessions.forget()

    def _demand_access(self, found: SessionAccess) -> None:
        """Raises Unauthenticated if the key or the tenant behind a session has ended."""
        if found.access.key is not None:
            demand_working(found.access.key, self._clock.now())
        demand_not_deleted(found.access)


def ticket_ended() -> Unauthenticated:
    """Returns the refusal of a ticket that begins nothing."""
    what = "This sign-in link was used, or is too old. Ask for another one."
    return Unauthenticated(what, reason=AccessReason.TICKET_ENDED)
