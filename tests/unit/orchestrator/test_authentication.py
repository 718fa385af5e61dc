"""Who calls and what they may do: keys, expiry, scopes, suspended tenants, roles."""

import asyncio
import base64
import importlib
import pkgutil
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import i2v.admin.v1
import i2v.v1
import pytest

from services.errors import PermissionDenied, PreconditionFailed, Unauthenticated, Unavailable
from services.orchestrator.api import revocation
from services.orchestrator.api.access_rules import BY_PATH, RULES
from services.orchestrator.api.authentication import Authentication, digest
from services.orchestrator.api.credential import TenantCredential
from services.orchestrator.api.new_key import new_key
from services.orchestrator.domain.api_key import USUAL, ApiKey, Scope
from services.orchestrator.domain.limits.calendar import Per
from services.orchestrator.domain.limits.limit import Limit, Subject
from services.orchestrator.domain.limits.measure import Spend
from services.orchestrator.domain.limits.override import Override
from services.orchestrator.domain.operator import Operator, Role
from services.orchestrator.domain.tenant import Tenant, TenantState
from services.orchestrator.domain.token_claims import Claims
from services.orchestrator.ports.credentials import TenantAccess
from services.reasons import AccessReason, ServiceReason
from services.rpc.auth import Principal
from services.rpc.redaction import redact
from tests.support.builders import NOON, FakeClock, a_plan, amounts

SUBMIT, GET, WRITE, READ = (
    f"/i2v.v1.{method}"
    for method in ("JobService/SubmitJob", "JobService/GetJob", "AssetService/WriteAsset", "AssetService/ReadAsset")
)
DELETE, REVOKE, LIST_TENANTS = (
    f"/i2v.admin.v1.{method}"
    for method in ("TenantService/DeleteTenant", "KeyService/RevokeKey", "TenantService/ListTenants")
)


@dataclass
class Credentials:
    """Credentials in memory."""

    keys: dict[str, TenantAccess | Operator] = field(default_factory=dict)
    lookups: int = 0
    is_away: bool = False
    written: "asyncio.Queue[dict[str, datetime]]" = field(default_factory=asyncio.Queue)

    async def of_key(self, key_sha256: str) -> TenantAccess | Operator | None:
        self.lookups += 1
        return self.keys.get(key_sha256)

    async def of_tenant(self, tenant: str) -> TenantAccess | None:
        return None

    async def used(self, times: dict[str, datetime]) -> None:
        await self.written.put(times)
        if self.is_away:
            raise Unavailable(reason=ServiceReason.DATABASE_UNAVAILABLE)

    def add(self, text: str, tenant: Tenant | None = None, *overrides: Override, **key: Any) -> None:
        owner = tenant or Tenant("studio", "test")
        self.keys[digest(text)] = TenantAccess(
            owner, overrides, ApiKey(**{"id": "k1", "tenant": owner.id, "name": "web"} | key)
        )


@pytest.fixture
def known() -> Credentials:
    return Credentials()


@pytest.fixture
def callers(known: Any, clock: FakeClock) -> Authentication:
    return Authentication(known, {"test": a_plan(), "large": a_plan(name="large")}, clock, lambda: "first-operator")


async def refused(callers: Authentication, text: str) -> str:
    with pytest.raises(Unauthenticated) as caught:
        await callers.verify(text)
    return caught.value.reason


async def may(callers: Authentication, text: str, method: str) -> str:
    """Returns why a call is refused; empty: it is not."""
    caller = Principal(await callers.verify(text), "ann")
    try:
        callers.authorize(method, caller)
    except PermissionDenied as error:
        return error.reason
    return ""


async def caller_of(callers: Authentication, text: str, user: str = "ann") -> Any:
    credential = await callers.verify(text)
    assert isinstance(credential, TenantCredential)
    return callers.caller_of(credential.access, user, credential.key_id)


async def test_a_known_key_costs_no_query(callers: Authentication, known: Credentials) -> None:
    known.add("good")
    for _ in range(1000):
        assert (await callers.verify("good")).tenant == "studio"
    assert known.lookups == 1


async def test_an_expired_key_is_refused_exactly_at_its_expiry_though_it_is_cached(
    callers: Authentication, known: Credentials, clock: FakeClock
) -> None:
    known.add("good", expire_time=NOON + timedelta(seconds=2))
    clock.advance(1.999999)
    await callers.verify("good")
    clock.advance(0.000001)
    assert await refused(callers, "good") == "API_KEY_EXPIRED"


async def test_each_way_a_key_ends_has_its_reason(callers: Authentication, known: Credentials) -> None:
    known.add("revoked", revoke_time=NOON)
    known.add("deleted", Tenant("studio", "test", TenantState.DELETED))
    assert [await refused(callers, text) for text in ("revoked", "deleted", "unknown")] == [
        "API_KEY_REVOKED",
        "API_KEY_REVOKED",
        "API_KEY_UNKNOWN",
    ]


async def test_a_key_may_do_what_its_scopes_say(callers: Authentication, known: Credentials) -> None:
    for scope in Scope:
        known.add(scope, scopes=frozenset({scope}))
    methods = {Scope.SUBMIT: SUBMIT, Scope.READ: GET, Scope.ASSETS: WRITE, Scope.TENANT_ADMIN: REVOKE}
    for scope in Scope:
        for needed, method in methods.items():
            assert await may(callers, scope, method) == ("" if scope is needed else "SCOPE_MISSING")
    assert [await may(callers, scope, READ) for scope in (Scope.ASSETS, Scope.READ, Scope.SUBMIT)] == [
        "",
        "",
        "SCOPE_MISSING",
    ]
    assert Scope.TENANT_ADMIN not in USUAL


async def test_a_suspended_tenant_reads_but_neither_submits_nor_uploads(
    callers: Authentication, known: Credentials
) -> None:
    known.add("good", Tenant("studio", "test", TenantState.SUSPENDED))
    assert [await may(callers, "good", method) for method in (GET, READ)] == ["", ""]
    assert {await may(callers, "good", method) for method in (SUBMIT, WRITE)} == {"TENANT_SUSPENDED"}


async def test_an_operator_may_do_what_the_role_says(callers: Authentication, known: Credentials) -> None:
    for role in Role:
        known.keys[digest(role)] = Operator(role, role, role)
    allowed = {
        role: [await may(callers, role, method) for method in (LIST_TENANTS, REVOKE, DELETE, SUBMIT)] for role in Role
    }
    assert allowed == {
        Role.VIEWER: ["", "ROLE_MISSING", "ROLE_MISSING", "TENANTS_ONLY"],
        Role.OPERATOR: ["", "", "ROLE_MISSING", "TENANTS_ONLY"],
        Role.ADMIN: ["", "", "", "TENANTS_ONLY"],
    }
    assert await may(callers, "first-operator", DELETE) == ""
    known.add("tenants", scopes=frozenset(Scope))
    assert await may(callers, "tenants", DELETE) == "OPERATORS_ONLY"


async def test_a_new_key_of_the_first_operator_replaces_the_old_one(known: Any, clock: FakeClock) -> None:
    current = ["old-key"]
    callers = Authentication(known, {"test": a_plan()}, clock, lambda: current[0])
    assert await may(callers, "old-key", DELETE) == ""
    current[0] = "new-key"
    assert await may(callers, "new-key", DELETE) == ""
    assert await refused(callers, "old-key") == "API_KEY_UNKNOWN"
    current[0] = ""
    assert await refused(callers, "") == "API_KEY_UNKNOWN"


async def test_a_stream_may_go_on_until_something_changes(callers: Authentication, known: Credentials) -> None:
    known.add("good")
    caller = Principal(await callers.verify("good"), "ann")
    assert await callers.refusal(GET, caller) is None
    for changed, reason in (
        ({"revoke_time": NOON}, "API_KEY_REVOKED"),
        ({"expire_time": NOON}, "API_KEY_EXPIRED"),
        ({"scopes": frozenset({Scope.USAGE})}, "SCOPE_MISSING"),
    ):
        known.add("good", **changed)
        callers.forget()
        error = await callers.refusal(GET, caller)
        assert error is not None and error.reason == reason
    known.add("good", Tenant("studio", "test", TenantState.SUSPENDED))
    callers.forget()
    assert await callers.refusal(GET, caller) is None
    error = await callers.refusal(WRITE, caller)
    assert error is not None and error.reason == "TENANT_SUSPENDED"


async def test_a_planned_plan_holds_from_its_moment_on_for_a_cached_key(
    callers: Authentication, known: Credentials, clock: FakeClock
) -> None:
    known.add("good", Tenant("studio", "test", next_plan="large", next_plan_time=NOON + timedelta(seconds=1)))
    assert (await caller_of(callers, "good")).plan.name == "test"
    clock.advance(1)
    assert (await caller_of(callers, "good")).plan.name == "large"
    assert known.lookups == 1


async def test_a_caller_has_its_overrides_key_and_calendar(callers: Authentication, known: Credentials) -> None:
    override = Override("user:ann", Limit(Spend(), Subject.USER, Per.MONTH, 7))
    known.add("good", Tenant("studio", "test", time_zone="Asia/Tokyo"), override)
    ann, bob = await caller_of(callers, "good"), await caller_of(callers, "good", "bob")
    assert (ann.key, ann.calendar.time_zone) == ("k1", "Asia/Tokyo")
    assert [amounts(who.plan)["user spend month"] for who in (ann, bob)] == [7, 500_000]


async def test_a_plan_that_is_configured_no_more_is_refused_with_its_name(
    callers: Authentication, known: Credentials
) -> None:
    known.add("good", Tenant("studio", "gone"))
    with pytest.raises(PreconditionFailed) as caught:
        await caller_of(callers, "good")
    assert (caught.value.reason, caught.value.metadata) == ("PLAN_UNKNOWN", {"plan": "gone"})


async def test_uses_are_collected_and_not_written_by_calls(
    callers: Authentication, known: Credentials, clock: FakeClock
) -> None:
    known.add("good")
    await callers.verify("good")
    clock.advance(1)
    await callers.verify("good")
    later: datetime = NOON + timedelta(seconds=1)
    assert callers.take_uses() == {"k1": later}
    assert callers.take_uses() == {}


@pytest.mark.parametrize("header", ['{"alg":"x"}', '{ "alg":"x"}', '{\n"alg":"x"}', '{\t"alg":"x"}'])
async def test_a_token_is_recognised_by_its_header(known: Any, clock: FakeClock, header: str) -> None:
    class NoTokens:
        def read(self, token: str, now: datetime) -> Claims:
            raise Unauthenticated(reason=AccessReason.TOKEN_MALFORMED)

    callers = Authentication(known, {"test": a_plan()}, clock, tokens=NoTokens())
    token = f"{base64.urlsafe_b64encode(header.encode()).decode()}.e30.x"
    assert await refused(callers, token) == "TOKEN_MALFORMED"
    assert await refused(callers, "a.b.c") == "API_KEY_UNKNOWN"


async def test_uses_are_written_in_the_background_also_after_the_database_was_away(
    callers: Authentication, known: Any
) -> None:
    known.add("good")
    await callers.verify("good")
    known.is_away = True
    writing = asyncio.create_task(revocation.write_uses(callers, known, every_s=0.001))
    await known.written.get()
    known.is_away = False
    await callers.verify("good")
    assert await known.written.get() == {"k1": NOON}
    writing.cancel()
    await asyncio.wait({writing})


def test_every_method_of_every_service_has_a_rule() -> None:
    files = [
        importlib.import_module(f"{package.__name__}.{found.name}")
        for package in (i2v.v1, i2v.admin.v1)
        for found in pkgutil.iter_modules(package.__path__)
        if found.name.endswith("_pb2")
    ]
    services = [service for file in files for service in file.DESCRIPTOR.services_by_name.values()]
    methods = {service.full_name: {method.name for method in service.methods} for service in services}
    assert {name: set(rules) for name, rules in RULES.items()} == methods
    assert all(
        rule.scopes or rule.role or rule.signed_url or rule.live_url or rule.share or rule.ticket
        for rule in BY_PATH.values()
    )


def test_what_changes_something_is_not_for_viewers() -> None:
    seen = ("Get", "List", "Check", "Audit")
    for path, rule in BY_PATH.items():
        if rule.role is Role.VIEWER:
            assert path.rpartition("/")[2].startswith(seen), path


def test_keys_are_random_name_themselves_and_do_not_show_their_secret() -> None:
    first, second = new_key(), new_key()
    assert first.text != second.text and first.sha256 == digest(first.text)
    prefix, key_id, secret = first.text.split("_", 2)
    assert (prefix, key_id, len(secret)) == ("i2v", first.id, 43)
    assert secret not in repr(first)
    assert secret not in redact(f"a caller wrote {first.text} into a message")
    assert first.id in redact(first.text)
    assert replace(first, id="x") != first
