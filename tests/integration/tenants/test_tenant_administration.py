"""Tenants, keys, operators, limits, credits and the log, over the real service."""

import uuid
from datetime import timedelta
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from i2v.admin.v1 import audit_pb2, credit_pb2, key_pb2, limit_pb2, operator_pb2, tenant_pb2
from i2v.v1 import job_pb2

from tests.integration.tenants.conftest import Admin, becomes, refusal
from tests.support.builders import ScriptedBackend
from tests.support.served_orchestrator import Served, caller, text_spec

STUDIO = "tenants/studio"
WHY = "a test"
REVOKED = ("UNAUTHENTICATED", "API_KEY_REVOKED")


def an_expiry(seconds: int) -> Timestamp:
    return Timestamp(seconds=seconds)


async def log(admin: Admin, **request: Any) -> list[audit_pb2.AuditEntry]:
    return list((await admin.ListAuditEntries(audit_pb2.ListAuditEntriesRequest(**request))).entries)


async def test_a_new_tenant_gets_a_key_and_makes_a_video(i2v: Served, admin: Admin) -> None:
    request = tenant_pb2.CreateTenantRequest(tenant_id="new", plan="test", time_zone="Asia/Tokyo", reason=WHY)
    created = await admin.CreateTenant(request)
    assert (created.name, created.state, created.time_zone) == ("tenants/new", tenant_pb2.Tenant.ACTIVE, "Asia/Tokyo")
    made = await admin.new_key(tenant="new")
    assert made.key_text.startswith("i2v_") and made.key.name.endswith(made.key_text.split("_")[1])
    job = await i2v.ended((await i2v.submit(text_spec(), key=made.key_text)).name, key=made.key_text)
    assert job.state == job_pb2.Job.SUCCEEDED
    assert await refusal(admin.CreateTenant(request)) == ("FAILED_PRECONDITION", "TENANT_EXISTS")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"tenant_id": "Bad Name"}, "TENANT_ID_MALFORMED"),
        ({"plan": "none"}, "PLAN_NAME_UNKNOWN"),
        ({"time_zone": "Mars/Olympus"}, "TIME_ZONE_UNKNOWN"),
        ({"anniversary": "tomorrow"}, "DATE_MALFORMED"),
        ({"reason": " "}, "REASON_MISSING"),
        ({"reason": "x" * 501}, "REASON_MISSING"),
    ],
)
async def test_a_malformed_tenant_is_refused_and_the_refusal_is_logged(
    admin: Admin, change: dict[str, str], reason: str
) -> None:
    fields = {"tenant_id": "new", "plan": "test", "reason": WHY} | change
    assert await refusal(admin.CreateTenant(tenant_pb2.CreateTenantRequest(**fields))) == ("INVALID_ARGUMENT", reason)
    (entry,) = await log(admin)
    assert (entry.action, entry.actor, entry.outcome) == ("CreateTenant", "operators/settings", reason)


async def test_what_a_deletion_is_about_is_told_before_and_its_jobs_are_cancelled(
    i2v: Served, admin: Admin, backend: ScriptedBackend
) -> None:
    backend.gate.clear()
    running, waiting = await i2v.submit(text_spec()), await i2v.submit(text_spec())
    await i2v.until(running.name, "fragment_ready")
    preview = await admin.DeleteTenant(tenant_pb2.DeleteTenantRequest(name=STUDIO, validate_only=True))
    holdings = preview.holdings
    assert (holdings.unfinished_jobs, holdings.queued_jobs, holdings.reserved_micros) == (2, 1, 2000)
    assert preview.tenant.state == tenant_pb2.Tenant.ACTIVE and preview.effects
    assert await log(admin) == [], "nothing was done"
    delete = tenant_pb2.DeleteTenantRequest(name=STUDIO, reason=WHY)
    assert await refusal(admin.DeleteTenant(delete)) == ("FAILED_PRECONDITION", "TENANT_HAS_JOBS")
    delete.cancel_jobs = True
    deleted = await admin.DeleteTenant(delete)
    assert (deleted.tenant.state, deleted.holdings.keys) == (tenant_pb2.Tenant.DELETED, 0)
    backend.gate.set()
    for name in (running.name, waiting.name):
        async with i2v.app.store.database.reading():
            job = await i2v.app.store.jobs.get(name.removeprefix("jobs/"))
        assert job.state.value in ("cancelled", "cancelling")
    await becomes(REVOKED, lambda: i2v.job(running.name))
    assert await refusal(admin.new_key()) == ("FAILED_PRECONDITION", "TENANT_DELETED")
    assert [entry.outcome for entry in await log(admin)] == ["TENANT_DELETED", "DONE", "TENANT_HAS_JOBS"]


async def test_a_plan_changes_now_or_at_the_end_of_the_month(i2v: Served, admin: Admin) -> None:
    def request(plan: str, *, at_period_end: bool = False) -> tenant_pb2.SetTenantPlanRequest:
        return tenant_pb2.SetTenantPlanRequest(name=STUDIO, plan=plan, at_period_end=at_period_end, reason=WHY)

    planned = await admin.SetTenantPlan(request("poor", at_period_end=True))
    assert (planned.plan, planned.next_plan, planned.HasField("next_plan_time")) == ("test", "poor", True)
    assert (await i2v.usage()).plan == "test"
    changed = await admin.SetTenantPlan(request("poor"))
    assert (changed.plan, changed.next_plan, changed.HasField("next_plan_time")) == ("poor", "", False)
    while (await i2v.usage()).plan != "poor":
        pass  # the word to all processes is on its way
    assert await refusal(admin.SetTenantPlan(request("gold"))) == ("INVALID_ARGUMENT", "PLAN_NAME_UNKNOWN")
    (_, entry, *_) = await log(admin)
    assert (dict(entry.before), dict(entry.after)["plan"]) == (
        {"plan": "test", "next_plan": "poor", "next_plan_time": entry.before["next_plan_time"]},
        "poor",
    )


async def test_a_calendar_changes(admin: Admin) -> None:
    request = tenant_pb2.SetTenantCalendarRequest(name=STUDIO, time_zone="Europe/Berlin", reason=WHY)
    assert (await admin.SetTenantCalendar(request)).time_zone == "Europe/Berlin"
    request.time_zone, request.anniversary = "", "2026-01-31"
    changed = await admin.SetTenantCalendar(request)
    assert (changed.time_zone, changed.anniversary) == ("Europe/Berlin", "2026-01-31")
    request.time_zone = "Berlin"
    assert await refusal(admin.SetTenantCalendar(request)) == ("INVALID_ARGUMENT", "TIME_ZONE_UNKNOWN")
    listed = await admin.ListTenants(tenant_pb2.ListTenantsRequest(page_size=2))
    assert [each.name for each in listed.tenants] == ["tenants/poor", "tenants/story"]
    page = await admin.ListTenants(tenant_pb2.ListTenantsRequest(page_token=listed.next_page_token))
    assert [each.name for each in page.tenants] == [STUDIO]


async def test_one_limit_is_another_for_one_user(i2v: Served, admin: Admin) -> None:
    fields = {"tenant": STUDIO, "user": "ann", "limit": "user spend month", "reason": WHY}
    await admin.SetLimit(limit_pb2.SetLimitRequest(**fields, most=0))
    while (await i2v.usage()).user.budget.amount_micros != 0:
        pass  # the word to all processes is on its way
    assert (await refusal(i2v.submit(text_spec())))[0] == "RESOURCE_EXHAUSTED"
    await i2v.submit(text_spec(), user="bob")
    (listed,) = (await admin.ListLimits(limit_pb2.ListLimitsRequest(tenant=STUDIO))).limits
    assert (listed.user, listed.limit, listed.most, listed.actor) == (
        "ann",
        "user spend month",
        0,
        "operators/settings",
    )
    await admin.UnsetLimit(limit_pb2.UnsetLimitRequest(**fields))
    while not (await i2v.usage()).user.budget.amount_micros:
        pass
    await i2v.submit(text_spec())
    assert await refusal(admin.UnsetLimit(limit_pb2.UnsetLimitRequest(**fields))) == ("NOT_FOUND", "NOT_FOUND")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"limit": "user spend week"}, "LIMIT_UNKNOWN"),
        ({"limit": "tenant spend month"}, "LIMIT_UNKNOWN"),
        ({"user": ""}, "LIMIT_UNKNOWN"),
        ({"key": "k1"}, "LIMIT_UNKNOWN"),
        ({"user": "x" * 129}, "LIMIT_UNKNOWN"),
        ({"most": -1}, "AMOUNT_OUT_OF_RANGE"),
        ({"most": 2**63 - 1}, "AMOUNT_OUT_OF_RANGE"),
    ],
)
async def test_a_malformed_limit_is_refused(admin: Admin, change: dict[str, Any], reason: str) -> None:
    fields = {"tenant": STUDIO, "user": "ann", "limit": "user spend month", "most": 7, "reason": WHY} | change
    assert await refusal(admin.SetLimit(limit_pb2.SetLimitRequest(**fields))) == ("INVALID_ARGUMENT", reason)
    assert not (await admin.ListLimits(limit_pb2.ListLimitsRequest(tenant=STUDIO))).limits


async def test_a_credit_is_booked_once_and_a_debit_takes_no_more_than_is_left(i2v: Served, admin: Admin) -> None:
    request = credit_pb2.BookCreditRequest(
        request_id=str(uuid.uuid4()), tenant=STUDIO, user="ann", amount_micros=70, reason=WHY
    )
    first, again = await admin.BookCredit(request), await admin.BookCredit(request)
    assert (first.left.amount_micros, first.repeated_request) == (500_070, False)
    assert (again.left.amount_micros, again.repeated_request) == (500_070, True)
    assert (await i2v.usage()).tenant.budget.amount_micros == 1_000_070
    request.amount_micros = -500_071
    request.request_id = str(uuid.uuid4())
    assert await refusal(admin.BookCredit(request)) == ("FAILED_PRECONDITION", "DEBIT_TOO_LARGE")
    for amount in (0, 10**15 + 1, -(10**15) - 1, 2**63 - 1):
        request.amount_micros = amount
        assert await refusal(admin.BookCredit(request)) == ("INVALID_ARGUMENT", "AMOUNT_OUT_OF_RANGE")
    request.request_id, request.amount_micros = "7", 1
    assert await refusal(admin.BookCredit(request)) == ("INVALID_ARGUMENT", "REQUEST_ID_MALFORMED")
    request.request_id, request.tenant = str(uuid.uuid4()), "tenants/nowhere"
    assert await refusal(admin.BookCredit(request)) == ("NOT_FOUND", "NOT_FOUND")


async def test_a_tenants_admin_manages_the_keys_of_this_tenant_alone(i2v: Served, admin: Admin) -> None:
    made = await admin.new_key(key_pb2.Key.TENANT_ADMIN)
    own = admin.of(made.key_text)
    created = await own.CreateKey(key_pb2.CreateKeyRequest(display_name="app", scopes=[key_pb2.Key.READ]))
    assert created.key.name.startswith(f"{STUDIO}/keys/")
    assert await refusal(i2v.submit(text_spec(), key=created.key_text)) == ("PERMISSION_DENIED", "SCOPE_MISSING")
    assert {each.display_name for each in (await own.ListKeys(key_pb2.ListKeysRequest())).keys} >= {"app", "web"}
    elsewhere = key_pb2.CreateKeyRequest(tenant="tenants/story", display_name="app")
    assert await refusal(own.CreateKey(elsewhere)) == ("PERMISSION_DENIED", "OTHER_TENANT")
    others = (await admin.ListKeys(key_pb2.ListKeysRequest(tenant="tenants/story"))).keys[0].name
    assert await refusal(own.RevokeKey(key_pb2.RevokeKeyRequest(name=others))) == ("PERMISSION_DENIED", "OTHER_TENANT")
    assert await refusal(own.RevokeKey(key_pb2.RevokeKeyRequest(name=f"{STUDIO}/keys/none"))) == (
        "NOT_FOUND",
        "NOT_FOUND",
    )
    await admin.SuspendTenant(tenant_pb2.SuspendTenantRequest(name="tenants/story", reason=WHY))
    seen = await log(own)
    assert {entry.tenant for entry in seen} == {STUDIO}
    assert seen[0].actor == made.key.name and (seen[0].action, seen[0].outcome) == ("RevokeKey", "NOT_FOUND")
    theirs = audit_pb2.ListAuditEntriesRequest(tenant="tenants/story")
    assert await refusal(own.ListAuditEntries(theirs)) == ("PERMISSION_DENIED", "OTHER_TENANT")
    usual = admin.of("studio-key")
    assert await refusal(usual.ListKeys(key_pb2.ListKeysRequest())) == ("PERMISSION_DENIED", "SCOPE_MISSING")


async def test_a_rotated_key_works_beside_its_successor_until_the_overlap_ends(i2v: Served, admin: Admin) -> None:
    made = await admin.new_key()
    rotate = key_pb2.RotateKeyRequest(name=made.key.name, overlap=Duration(seconds=3600), reason=WHY)
    rotated = await admin.RotateKey(rotate)
    for text in (made.key_text, rotated.key_text):
        await i2v.usage(key=text)
    left = rotated.replaced.expire_time.ToDatetime() - rotated.key.create_time.ToDatetime()
    assert left == timedelta(hours=1)
    rotate.name, rotate.overlap.seconds = rotated.key.name, 0
    again = await admin.RotateKey(rotate)
    await becomes(("UNAUTHENTICATED", "API_KEY_EXPIRED"), lambda: i2v.usage(key=rotated.key_text))
    await i2v.usage(key=again.key_text)
    assert await refusal(admin.RotateKey(rotate)) == ("FAILED_PRECONDITION", "KEY_ENDED")
    rotate.overlap.seconds = 31 * 86_400
    assert await refusal(admin.RotateKey(rotate)) == ("INVALID_ARGUMENT", "OVERLAP_OUT_OF_RANGE")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"display_name": ""}, "KEY_NAME_MALFORMED"),
        ({"display_name": "a\nb"}, "KEY_NAME_MALFORMED"),
        ({"scopes": [99]}, "SCOPE_UNKNOWN"),
        ({"expire_time": an_expiry(1)}, "EXPIRE_TIME_PAST"),
        ({"expire_time": an_expiry(2**62)}, "INVALID_VALUE"),
        ({"tenant": ""}, "TENANT_MISSING"),
        ({"tenant": "studio"}, "NAME_MALFORMED"),
        ({"reason": ""}, "REASON_MISSING"),
    ],
)
async def test_a_malformed_key_is_refused(admin: Admin, change: dict[str, Any], reason: str) -> None:
    fields = {"tenant": STUDIO, "display_name": "web", "reason": WHY} | change
    assert await refusal(admin.CreateKey(key_pb2.CreateKeyRequest(**fields))) == ("INVALID_ARGUMENT", reason)


async def test_operators_have_roles_and_the_log_says_who_did_what(i2v: Served, admin: Admin) -> None:
    made = {}
    for role in ("VIEWER", "OPERATOR"):
        request = operator_pb2.CreateOperatorRequest(
            display_name="Eve", role=operator_pb2.Operator.Role.Value(role), reason=WHY
        )
        made[role] = await admin.CreateOperator(request)
    viewer, operator = (admin.of(made[role].key_text) for role in ("VIEWER", "OPERATOR"))
    assert len((await viewer.ListTenants(tenant_pb2.ListTenantsRequest())).tenants) == 3
    suspend = tenant_pb2.SuspendTenantRequest(name=STUDIO, reason="unpaid")
    assert await refusal(viewer.SuspendTenant(suspend)) == ("PERMISSION_DENIED", "ROLE_MISSING")
    await operator.SuspendTenant(suspend)
    create = tenant_pb2.CreateTenantRequest(tenant_id="new", plan="test", reason=WHY)
    assert await refusal(operator.CreateTenant(create)) == ("PERMISSION_DENIED", "ROLE_MISSING")
    assert await refusal(operator.CreateOperator(operator_pb2.CreateOperatorRequest())) == (
        "PERMISSION_DENIED",
        "ROLE_MISSING",
    )
    entry = (await log(viewer, page_size=1))[0]
    assert (entry.actor, entry.action, entry.target, entry.reason, entry.outcome) == (
        made["OPERATOR"].operator.name,
        "SuspendTenant",
        STUDIO,
        "unpaid",
        "DONE",
    )
    assert (dict(entry.before), dict(entry.after)) == ({"state": "active"}, {"state": "suspended"})
    await admin.RevokeOperator(operator_pb2.RevokeOperatorRequest(name=made["VIEWER"].operator.name, reason=WHY))
    await becomes(REVOKED, lambda: viewer.ListTenants(tenant_pb2.ListTenantsRequest()))
    jobs = i2v.jobs.ListJobs(job_pb2.ListJobsRequest(), metadata=caller(key=made["OPERATOR"].key_text))
    assert await refusal(jobs) == ("PERMISSION_DENIED", "TENANTS_ONLY")
    no_role = operator_pb2.CreateOperatorRequest(display_name="Eve", reason=WHY)
    assert await refusal(admin.CreateOperator(no_role)) == ("INVALID_ARGUMENT", "ROLE_UNKNOWN")


async def test_the_log_is_read_in_pages(admin: Admin) -> None:
    for _ in range(3):
        await admin.new_key()
    first = await admin.ListAuditEntries(audit_pb2.ListAuditEntriesRequest(page_size=2))
    rest = await admin.ListAuditEntries(audit_pb2.ListAuditEntriesRequest(page_token=first.next_page_token))
    assert [len(page.entries) for page in (first, rest)] == [2, 1] and not rest.next_page_token
    for wrong, reason in (
        ({"page_token": "x"}, "PAGE_TOKEN_MALFORMED"),
        ({"page_size": 201}, "PAGE_SIZE_OUT_OF_RANGE"),
    ):
        request = audit_pb2.ListAuditEntriesRequest(**wrong)  # type: ignore[arg-type]
        assert await refusal(admin.ListAuditEntries(request)) == ("INVALID_ARGUMENT", reason)


async def test_no_text_of_a_key_is_stored_or_logged(
    i2v: Served, admin: Admin, caplog: pytest.LogCaptureFixture
) -> None:
    made = await admin.new_key()
    await i2v.usage(key=made.key_text)
    secret = made.key_text.split("_", 2)[2]
    async with i2v.app.store.database.reading() as connection:
        for table in ("api_keys", "audit_log"):
            rows = (await connection.exec_driver_sql(f"SELECT * FROM {table}")).all()
            assert rows and secret not in str(rows)
    assert secret not in caplog.text
