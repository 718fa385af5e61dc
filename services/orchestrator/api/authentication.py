"""Authenticates and authorizes callers: from a key or token to the tenant with its plan, or to an operator.

Only the SHA-256 of a key is stored. A key is 32 random bytes, so a fast digest protects it as well as a slow one. A
known key causes no query: its record is cached, and forgotten when the database says that something has changed.
"""

import hashlib
import hmac
from collections.abc import Callable, Mapping
from datetime import datetime

from services.errors import NotFound, PermissionDenied, PreconditionFailed, ServiceError, Unauthenticated
from services.orchestrator.api.access_rules import BY_PATH, AccessRule
from services.orchestrator.api.credential import (
    OPERATORS,
    LiveUrlCredential,
    OperatorCredential,
    ShareCredential,
    SignedUrlCredential,
    TenantCredential,
    TicketCredential,
)
from services.orchestrator.api.credential_checks import demand_not_deleted, demand_not_suspended, demand_working
from services.orchestrator.api.lookup_cache import LookupCache
from services.orchestrator.api.session_tokens import SessionTokens
from services.orchestrator.api.share_tokens import ShareTokens
from services.orchestrator.assets.url_signatures import UrlSignatures
from services.orchestrator.domain.caller import Caller
from services.orchestrator.domain.limits.override import overridden
from services.orchestrator.domain.live_url import PREFIX as LIVE
from services.orchestrator.domain.live_url import LiveUrl
from services.orchestrator.domain.operator import BOOTSTRAP, Operator, Role
from services.orchestrator.domain.plan import Plan
from services.orchestrator.domain.session import PREFIX as SESSION
from services.orchestrator.domain.session import TICKET_PREFIX as TICKET
from services.orchestrator.domain.share import PREFIX as SHARED
from services.orchestrator.domain.signed_url import PREFIX as SIGNED
from services.orchestrator.ports.clock_and_ids import Clock
from services.orchestrator.ports.credentials import Credentials, TenantAccess
from services.orchestrator.ports.tokens import Tokens
from services.reasons import AccessReason, CallReason
from services.rpc.auth import Principal, principal

JSON_BEGINS = ("ey", "ew")
"""How an object in JSON begins in Base64, with anything after its brace. A JWT has its header first."""
OF_SETTINGS = Operator(BOOTSTRAP, "the key of the settings", Role.ADMIN)


def digest(key: str) -> str:
    """Returns the digest that is stored of a key."""
    return hashlib.sha256(key.encode()).hexdigest()


class Authentication:
    """The callers of one process."""

    def __init__(
        self,
        credentials: Credentials,
        plans: Mapping[str, Plan],
        clock: Clock,
        operator_key: Callable[[], str] = str,
        tokens: Tokens | None = None,
        signatures: UrlSignatures | None = None,
        shares: ShareTokens | None = None,
        sessions: SessionTokens | None = None,
    ) -> None:
        """`operator_key` returns the credential of the first operator as it is now; empty: there is none.

        Without `tokens` no JWT works, without `signatures` no signed URL, without `shares` no share, without
        `sessions` no session.
        """
        self._operator_key = operator_key
        self._plans = plans
        self._clock = clock
        self._tokens = tokens
        self._signatures = signatures
        self._shares = shares
        self._sessions = sessions
        self._keys: LookupCache[TenantAccess | Operator] = LookupCache(credentials.of_key, clock)
        self._tenants: LookupCache[TenantAccess] = LookupCache(credentials.of_tenant, clock)
        self._uses: dict[str, datetime] = {}

    async def verify(
        self, token: str
    ) -> (
        TenantCredential
        | OperatorCredential
        | SignedUrlCredential
        | LiveUrlCredential
        | ShareCredential
        | TicketCredential
    ):
        """Returns what is known of a key or a token. Raises Unauthenticated, Unavailable, NotFound for a share's."""
        if self._shares is not None and token.startswith(SHARED):
            return await self._shares.read(token)
        if self._sessions is not None and token.startswith(SESSION):
            return await self._of_session(self._sessions, digest(token))
        if self._sessions is not None and token.startswith(TICKET):
            return await self._sessions.read_ticket(digest(token))
        if self._signatures is not None and token.startswith((SIGNED, LIVE)):
            url = await self._signatures.read(token)
            await self._demand_tenant(url.tenant)
            if isinstance(url, LiveUrl):
                return LiveUrlCredential(url.tenant, url.user, url=url)
            return SignedUrlCredential(url.tenant, url.user, url=url)
        if self._tokens is not None and token.startswith(JSON_BEGINS) and token.count(".") >= 2:
            return await self._of_token(self._tokens, token)
        hashed = digest(token)
        if (operator := self._operator_key()) and hmac.compare_digest(hashed, digest(operator)):
            return OperatorCredential(OPERATORS, operator=OF_SETTINGS)
        return await self._of_key(hashed)

    async def _of_key(self, hashed: str) -> TenantCredential | OperatorCredential:
        found, now = await self._keys.get(hashed), self._clock.now()
        if found is None:
            raise Unauthenticated(
                "This API key is not known. Ask the operators for one.", reason=CallReason.API_KEY_UNKNOWN
            )
        key = found if isinstance(found, Operator) else found.key
        assert key is not None
        demand_working(key, now)
        self._uses[key.id] = now
        if isinstance(found, Operator):
            return OperatorCredential(OPERATORS, operator=found, key_sha256=hashed)
        demand_not_deleted(found)
        assert found.key is not None
        return TenantCredential(found.tenant.id, access=found, scopes=found.key.scopes, key_sha256=hashed)

    async def _of_session(self, sessions: SessionTokens, hashed: str) -> TenantCredential:
        found = await sessions.read(hashed)
        if found.key_id:
            self._uses[found.key_id] = self._clock.now()
        return found

    async def _of_token(self, tokens: Tokens, token: str) -> TenantCredential:
        claims = tokens.read(token, self._clock.now())
        access = await self._demand_tenant(claims.tenant)
        return TenantCredential(
            claims.tenant, claims.user, access=access, scopes=claims.scopes, expire_time=claims.expire_time
        )

    def authorize(self, method: str, caller: Principal) -> None:
        """Raises PermissionDenied if the caller may not call a method."""
        rule = BY_PATH[method]
        if rule.signed_url != isinstance(caller.credential, SignedUrlCredential):
            what = "A signed URL reads its asset, and does nothing else; only it does this."
            raise PermissionDenied(what, reason=AccessReason.SIGNED_URL_ONLY)
        if rule.live_url != isinstance(caller.credential, LiveUrlCredential):
            what = "A live URL reads the fragments of its job, and does nothing else; only it does this."
            raise PermissionDenied(what, reason=AccessReason.LIVE_URL_ONLY)
        if rule.share != isinstance(caller.credential, ShareCredential):
            what = "The token of a share reads what is shared, and does nothing else; only it does this."
            raise PermissionDenied(what, reason=AccessReason.SHARE_ONLY)
        if rule.ticket != isinstance(caller.credential, TicketCredential):
            what = "The ticket of a sign-in link begins its session, and does nothing else; only it does this."
            raise PermissionDenied(what, reason=AccessReason.TICKET_ONLY)
        match caller.credential:
            case TicketCredential(access=access):
                demand_not_suspended(access)
            case OperatorCredential(operator=operator):
                _demand_role(rule, operator)
            case TenantCredential() as credential:
                _demand_scope(rule, credential)

    async def refusal(self, method: str, caller: Principal) -> ServiceError | None:
        """Returns why a call that was admitted before must end now; None: it may go on. Raises Unavailable."""
        try:
            match caller.credential:
                case OperatorCredential(key_sha256=""):
                    return None
                case OperatorCredential(key_sha256=hashed) | TenantCredential(key_sha256=hashed) if hashed:
                    fresh: TenantCredential | OperatorCredential = await self._of_key(hashed)
                case TenantCredential(session_sha256=hashed) if hashed and self._sessions is not None:
                    fresh = await self._of_session(self._sessions, hashed)
                case SignedUrlCredential(tenant=tenant) | LiveUrlCredential(tenant=tenant):
                    # What it began to read before it expired, it reads to the end.
                    await self._demand_tenant(tenant)
                    return None
                case ShareCredential() as shared if self._shares is not None:
                    await self._shares.demand_not_ended(shared)
                    return None
                case TenantCredential() as credential:
                    fresh = await self._renewed(credential)
            self.authorize(method, Principal(fresh, caller.user))
        except (Unauthenticated, PermissionDenied, NotFound) as error:
            return error
        return None

    async def _renewed(self, credential: TenantCredential) -> TenantCredential:
        """Returns a token's credential with the tenant as it is now. Raises Unauthenticated."""
        if credential.expire_time is not None and credential.expire_time <= self._clock.now():
            raise Unauthenticated("The token has expired.", reason=AccessReason.TOKEN_EXPIRED)
        access = await self._demand_tenant(credential.tenant)
        return TenantCredential(
            credential.tenant,
            credential.user,
            access=access,
            scopes=credential.scopes,
            expire_time=credential.expire_time,
        )

    async def _demand_tenant(self, tenant: str) -> TenantAccess:
        """Returns the tenant of a token as it is now. Raises Unauthenticated."""
        access = await self._tenants.get(tenant)
        if access is None:
            what = "The token names no tenant of this service."
            raise Unauthenticated(what, reason=AccessReason.TOKEN_TENANT_UNKNOWN)
        demand_not_deleted(access)
        return access

    def forget(self) -> None:
        """Makes every cached record old: something has changed."""
        self._keys.forget()
        self._tenants.forget()
        if self._shares is not None:
            self._shares.forget()
        self.forget_sessions()

    def forget_sessions(self) -> None:
        """Makes every cached session old: one of them has ended."""
        if self._sessions is not None:
            self._sessions.forget()

    def take_uses(self) -> dict[str, datetime]:
        """Returns when each key was last used since the last call of this method."""
        uses, self._uses = self._uses, {}
        return uses

    def caller(self) -> Caller:
        """Returns the tenant and user that make the RPC that is being answered. Raises PermissionDenied."""
        who = principal()
        if not isinstance(who.credential, TenantCredential):
            what = "An operator's key is no tenant's: it has no jobs, assets or budgets."
            raise PermissionDenied(what, reason=CallReason.TENANTS_ONLY)
        return self.caller_of(who.credential.access, who.user, who.credential.key_id)

    def caller_of(self, access: TenantAccess, user: str, key: str = "") -> Caller:
        """Returns a tenant with the plan that holds now for one of its users. Raises PreconditionFailed."""
        name = access.tenant.plan_at(self._clock.now())
        plan = self._plans.get(name)
        if plan is None:
            raise PreconditionFailed(
                f"The plan {name!r} of this tenant is not configured. Tell the operators.",
                reason=CallReason.PLAN_UNKNOWN,
                metadata={"plan": name},
            )
        plan = overridden(plan, access.overrides, user, key)
        return Caller(access.tenant.id, user, plan, key, access.tenant.calendar)


def _demand_role(rule: AccessRule, operator: Operator) -> None:
    if rule.role is None:
        what = "An operator's key is no tenant's: it has no jobs, assets or budgets."
        raise PermissionDenied(what, reason=CallReason.TENANTS_ONLY)
    if not operator.role.includes(rule.role):
        raise PermissionDenied(
            f"This needs the role {rule.role}; yours is {operator.role}.",
            reason=AccessReason.ROLE_MISSING,
            metadata={"role": rule.role},
        )


def _demand_scope(rule: AccessRule, credential: TenantCredential) -> None:
    if not rule.scopes:
        raise PermissionDenied("Only operators may do this.", reason=CallReason.OPERATORS_ONLY)
    if not rule.scopes & credential.scopes:
        needed = " or ".join(sorted(rule.scopes))
        what = f"This key or token does not have the scope {needed}."
        raise PermissionDenied(what, reason=AccessReason.SCOPE_MISSING, metadata={"scope": needed})
    if not rule.while_suspended:
        demand_not_suspended(credential.access)
