"""What Tenants, ApiKeys, Operators, LimitOverrides, Credentials and AuditLog keep, on a real PostgreSQL."""

import asyncio
from dataclasses import replace
from datetime import date, timedelta

import pytest
import sqlalchemy as sa

from services.errors import InvalidInput, NotFound, PreconditionFailed
from services.orchestrator.api.authentication import digest
from services.orchestrator.domain import api_key, tenant
from services.orchestrator.domain.api_key import ApiKey, Scope
from services.orchestrator.domain.audit import DONE, Act
from services.orchestrator.domain.limits import override as overrides
from services.orchestrator.domain.limits.override import Override, limit_of
from services.orchestrator.domain.operator import Operator, Role
from services.orchestrator.domain.tenant import Holdings, Tenant, TenantState
from services.orchestrator.ports.credentials import TenantAccess
from services.orchestrator.store import api_keys, schema
from services.orchestrator.store.postgres_store import PostgresStore
from tests.support.builders import NOON, a_job, admit, numbered


def an_act(action: str = "Test", tenant: str = "studio") -> Act:
    return Act(NOON, "operators/eve", action, f"tenants/{tenant}", tenant, "because", "call-7")


async def log_of(store: PostgresStore, tenant: str = "studio") -> list[tuple[str, str, dict[str, str], dict[str, str]]]:
    page = await store.audit_log.page(tenant=tenant, before=None, limit=100)
    return [(each.act.action, each.outcome, dict(each.before), dict(each.after)) for each in page]


async def access(store: PostgresStore, text: str) -> TenantAccess:
    found = await store.credentials.of_key(digest(text))
    assert isinstance(found, TenantAccess)
    return found


# --- tenants --------------------------------------------------------------------------------------------------------


async def test_a_tenant_is_created_once_and_logged(store: PostgresStore) -> None:
    new = Tenant("new", "free", time_zone="Asia/Tokyo", anniversary=date(2026, 1, 31), create_time=NOON)
    await store.tenants.create(new, an_act("CreateTenant", "new"))
    assert await store.tenants.get("new") == new
    with pytest.raises(PreconditionFailed) as caught:
        await store.tenants.create(new, an_act("CreateTenant", "new"))
    assert caught.value.reason == "TENANT_EXISTS"
    ((action, outcome, before, after),) = await log_of(store, "new")
    assert (action, outcome, before) == ("CreateTenant", DONE, {})
    assert (after["id"], after["time_zone"], after["anniversary"]) == ("new", "Asia/Tokyo", "2026-01-31")


async def test_tenants_are_listed_by_id_in_pages(store: PostgresStore) -> None:
    assert [each.id for each in await store.tenants.page(after="", limit=1)] == ["story"]
    assert [each.id for each in await store.tenants.page(after="story", limit=5)] == ["studio"]
    with pytest.raises(NotFound):
        await store.tenants.get("nowhere")
    with pytest.raises(NotFound):
        await store.tenants.change("nowhere", tenant.suspend, an_act())


async def test_a_change_logs_what_it_changed_and_a_refused_one_changes_nothing(store: PostgresStore) -> None:
    await store.tenants.change("studio", tenant.suspend, an_act("SuspendTenant"))
    assert (await log_of(store))[0] == ("SuspendTenant", DONE, {"state": "active"}, {"state": "suspended"})

    def refuse(now: Tenant) -> Tenant:
        raise PreconditionFailed("No.", reason="TENANT_DELETED")

    with pytest.raises(PreconditionFailed):
        await store.tenants.change("studio", refuse, an_act())
    assert (await store.tenants.get("studio")).state is TenantState.SUSPENDED
    assert len(await log_of(store)) == 1


async def test_changes_that_race_are_made_one_after_the_other(store: PostgresStore) -> None:
    def later(now: Tenant) -> Tenant:
        return replace(now, anniversary=now.anniversary + timedelta(days=1))

    first = (await store.tenants.get("studio")).anniversary
    await asyncio.gather(*(store.tenants.change("studio", later, an_act()) for _ in range(8)))
    assert (await store.tenants.get("studio")).anniversary == first + timedelta(days=8)


async def test_a_tenant_is_deleted_with_its_keys_when_its_jobs_have_ended(store: PostgresStore) -> None:
    await admit(store, a_job())

    def decide(now: Tenant, unfinished_jobs: int) -> Tenant:
        return tenant.delete(now, unfinished_jobs, NOON, cancel_jobs=unfinished_jobs > 1)

    with pytest.raises(PreconditionFailed) as caught:
        await store.tenants.delete("studio", decide, an_act())
    assert caught.value.metadata == {"unfinished_jobs": "1"}
    assert (await access(store, "studio-key")).key is not None
    await admit(store, numbered(2))
    deleted = await store.tenants.delete("studio", decide, an_act())
    assert deleted == await store.tenants.get("studio")
    assert deleted.state is TenantState.DELETED
    found = await access(store, "studio-key")
    assert found.key is not None and found.key.revoke_time == NOON
    assert await store.tenants.unfinished("studio", 10) == ["0" * 32, f"{2:032x}"]


async def test_holdings_are_those_of_the_tenant_alone(store: PostgresStore) -> None:
    jobs = [await admit(store, numbered(number)) for number in (1, 2)]
    reserved = sum(job.quote_micros for job in jobs)
    assert await store.tenants.holdings("studio") == Holdings(2, 2, reserved, 2, 0, 0, 1)
    assert await store.tenants.holdings("story") == Holdings(0, 0, 0, 0, 0, 0, 1)
    with pytest.raises(NotFound):
        await store.tenants.holdings("nowhere")


@pytest.mark.parametrize("text", ["", "Studio", "a/b", "-a", "a" * 64])
async def test_a_tenants_id_is_fit_for_the_keys_of_blobs(store: PostgresStore, text: str) -> None:
    with pytest.raises(InvalidInput):
        await store.tenants.put(text, "test", digest("key"))


# --- keys -----------------------------------------------------------------------------------------------------------


async def test_keys_are_known_by_digest_alone(store: PostgresStore) -> None:
    async with store.database.reading() as connection:
        kept = str((await connection.execute(sa.select(schema.api_keys))).all())
    assert "studio-key" not in kept
    assert await store.credentials.of_key("0" * 64) is None


async def test_a_key_names_its_tenant_with_the_newest_plan(store: PostgresStore) -> None:
    assert (await access(store, "studio-key")).tenant.plan == "test"
    await store.tenants.put("studio", "large", digest("another-key"))
    for text in ("studio-key", "another-key"):
        found = await access(store, text)
        assert (found.tenant.id, found.tenant.plan) == ("studio", "large")


async def test_a_key_is_kept_as_it_was_made_and_belongs_to_its_tenant(store: PostgresStore) -> None:
    key = ApiKey("k1", "studio", "web", frozenset({Scope.READ}), NOON, NOON + timedelta(days=1))
    await store.api_keys.create(key, digest("text"), an_act("CreateKey"))
    assert (await access(store, "text")).key == key == await store.api_keys.get("studio", "k1")
    for missing in (store.api_keys.get("story", "k1"), store.api_keys.get("studio", "k2")):
        with pytest.raises(NotFound):
            await missing
    assert (await log_of(store))[0][3]["scopes"] == "read"
    listed = await store.api_keys.page("studio", after="", limit=10)
    assert key in listed and len(listed) == 2
    assert await store.api_keys.page("studio", after="k1", limit=10) == []


async def test_a_rotated_key_ends_after_the_overlap_and_its_successor_has_its_scopes(store: PostgresStore) -> None:
    key = ApiKey("k1", "studio", "web", frozenset({Scope.READ}), NOON)
    await store.api_keys.create(key, digest("old"), an_act())

    def decide(old: ApiKey) -> tuple[ApiKey, ApiKey]:
        return api_key.retire(old, NOON, timedelta(hours=1)), replace(old, id="k2")

    await store.api_keys.rotate("studio", "k1", decide, digest("new"), an_act("RotateKey"))
    old, new = (await access(store, "old")).key, (await access(store, "new")).key
    assert old == replace(key, expire_time=NOON + timedelta(hours=1))
    assert new == replace(key, id="k2")
    assert (await log_of(store))[0][3]["successor"] == "k2"


async def test_a_revoked_key_stays_revoked_and_is_not_rotated(store: PostgresStore) -> None:
    await store.api_keys.create(ApiKey("k1", "studio", "web", create_time=NOON), digest("text"), an_act())
    for later in (NOON, NOON + timedelta(hours=1)):
        ended = await store.api_keys.change("studio", "k1", lambda key, at=later: api_key.revoke(key, at), an_act())
        assert ended.revoke_time == NOON
    with pytest.raises(PreconditionFailed) as caught:
        await store.api_keys.rotate(
            "studio", "k1", lambda key: (api_key.retire(key, NOON, timedelta()), key), "", an_act()
        )
    assert caught.value.reason == "KEY_ENDED"


async def test_a_tenant_has_a_limit_of_working_keys_and_a_deleted_one_gets_none(store: PostgresStore) -> None:
    values = [
        {"id": f"k{number}", "sha256": f"{number}", "tenant": "studio", "name": "web", "scopes": []}
        for number in range(api_keys.MOST - 1)
    ]
    async with store.database.writing() as connection:
        await connection.execute(sa.insert(schema.api_keys), values)
    one_more = ApiKey("more", "studio", "web", create_time=NOON)
    with pytest.raises(PreconditionFailed) as caught:
        await store.api_keys.create(one_more, digest("more"), an_act())
    assert (caught.value.reason, caught.value.metadata) == ("KEYS_MOST", {"limit": "1000"})
    await store.api_keys.change("studio", "k0", lambda key: api_key.revoke(key, NOON), an_act())
    await store.api_keys.create(one_more, digest("more"), an_act())
    await store.tenants.delete("story", lambda now, _: tenant.delete(now, 0, NOON, cancel_jobs=False), an_act())
    with pytest.raises(PreconditionFailed):
        await store.api_keys.create(replace(one_more, id="k", tenant="story"), digest("k"), an_act())


async def test_the_last_use_of_a_key_only_grows(store: PostgresStore) -> None:
    await store.operators.create(Operator("op", "Eve", Role.ADMIN, NOON), digest("op"), an_act())
    key = (await access(store, "studio-key")).key
    assert key is not None
    for seconds in (60, 0):
        await store.credentials.used({key.id: NOON + timedelta(seconds=seconds), "op": NOON, "gone": NOON})
    found = (await access(store, "studio-key")).key
    assert found is not None and found.last_use_time == NOON + timedelta(seconds=60)
    assert [each.last_use_time for each in await store.operators.all()] == [NOON]


# --- operators, overrides, the log ----------------------------------------------------------------------------------


async def test_an_operator_is_known_by_the_key_until_it_is_revoked(store: PostgresStore) -> None:
    eve = Operator("op", "Eve", Role.VIEWER, NOON)
    await store.operators.create(eve, digest("op"), an_act("CreateOperator", ""))
    assert await store.credentials.of_key(digest("op")) == eve
    for later in (NOON, NOON + timedelta(hours=1)):
        assert await store.operators.revoke("op", later, an_act()) == replace(eve, revoke_time=NOON)
    assert await store.credentials.of_key(digest("op")) == replace(eve, revoke_time=NOON)
    with pytest.raises(NotFound):
        await store.operators.revoke("unknown", NOON, an_act())


def an_override(user: str, most: int | None) -> Override:
    return Override(f"user:{user}", limit_of("user spend month", most), "trial", "operators/eve", NOON)


async def test_an_override_comes_with_the_credential_and_goes(store: PostgresStore) -> None:
    for most in (7, None):
        await store.limit_overrides.put("studio", an_override("ann", most), an_act("SetLimit"))
        assert await store.limit_overrides.of_tenant("studio") == [an_override("ann", most)]
    assert (await access(store, "studio-key")).overrides == (an_override("ann", None),)
    without_key = await store.credentials.of_tenant("studio")
    assert without_key is not None and without_key.overrides == (an_override("ann", None),)
    assert (await log_of(store))[0][2:] == (
        {"user:ann user spend month": "7"},
        {"user:ann user spend month": "unlimited"},
    )
    await store.limit_overrides.remove("studio", an_override("ann", None), an_act("UnsetLimit"))
    assert await store.limit_overrides.of_tenant("studio") == []
    with pytest.raises(NotFound):
        await store.limit_overrides.remove("studio", an_override("ann", None), an_act())
    with pytest.raises(NotFound):
        await store.limit_overrides.put("nowhere", an_override("ann", 7), an_act())


async def test_a_tenant_has_a_limit_of_overrides(store: PostgresStore) -> None:
    row = {"tenant": "studio", "limit": "user spend month", "most": 1, "reason": "", "actor": "", "create_time": NOON}
    values = [row | {"subject": f"user:{number}"} for number in range(overrides.MOST)]
    async with store.database.writing() as connection:
        await connection.execute(sa.insert(schema.limit_overrides), values)
    with pytest.raises(PreconditionFailed) as caught:
        await store.limit_overrides.put("studio", an_override("ann", 7), an_act())
    assert caught.value.reason == "LIMITS_MOST"
    await store.limit_overrides.put("studio", an_override("7", 8), an_act())


async def test_every_change_wakes_those_who_wait_for_one(store: PostgresStore) -> None:
    key = ApiKey("k1", "studio", "web", create_time=NOON)
    changes = [
        lambda: store.tenants.change("studio", tenant.suspend, an_act()),
        lambda: store.api_keys.create(key, digest("text"), an_act()),
        lambda: store.api_keys.change("studio", "k1", lambda key: api_key.revoke(key, NOON), an_act()),
        lambda: store.operators.create(Operator("op", "Eve", Role.ADMIN, NOON), digest("op"), an_act()),
        lambda: store.operators.revoke("op", NOON, an_act()),
        lambda: store.limit_overrides.put("studio", an_override("ann", 7), an_act()),
        lambda: store.limit_overrides.remove("studio", an_override("ann", 7), an_act()),
    ]
    async with store.credentials.changes() as signal:
        while await signal.wait(0.2):
            pass  # those of the fixture, and the first
        for change in changes:
            await change()
            assert await signal.wait(30)


async def test_the_log_is_read_in_pages_the_newest_first_and_of_one_tenant(store: PostgresStore) -> None:
    for number in range(5):
        await store.audit_log.refused(an_act(f"A{number}", "story" if number % 2 else "studio"), "ROLE_MISSING")
    entry = await store.audit_log.begin(an_act("Begun"))
    first = await store.audit_log.page(tenant="", before=None, limit=3)
    assert [each.act.action for each in first] == ["Begun", "A4", "A3"]
    rest = await store.audit_log.page(tenant="", before=first[-1].id, limit=9)
    assert [each.act.action for each in rest] == ["A2", "A1", "A0"]
    assert [each[0] for each in await log_of(store, "story")] == ["A3", "A1"]
    assert first[0].outcome == ""
    await store.audit_log.end(entry, DONE)
    assert (await store.audit_log.page(tenant="", before=None, limit=1))[0].outcome == DONE
    assert first[1].act == an_act("A4")
