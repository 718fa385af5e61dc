"""`/v1` over HTTP: what the admin of a tenant manages."""

from i2v.admin.v1 import key_pb2

from tests.integration.tenants.conftest import FIRST_OPERATOR, Admin
from tests.support.resource_calls import SPEC, call
from tests.support.studio_rig import Rig


async def test_a_tenants_admin_manages_keys_and_users_and_an_operators_key_reaches_nothing(own: Rig) -> None:
    text = (await Admin(own.i2v.channel).new_key(key_pb2.Key.TENANT_ADMIN)).key_text
    admin = {"Authorization": f"Bearer {text}"}
    made = await call(own, "POST", "/v1/keys", json={"displayName": "app", "scopes": ["READ"]}, headers=admin)
    assert made.status_code == 201, made.text
    key = made.json()["key"]["name"].rpartition("/")[2]
    read = {"Authorization": f"Bearer {made.json()['keyText']}"}
    assert (await call(own, "GET", "/v1/jobs", headers=read)).status_code == 200
    denied = await call(own, "POST", "/v1/jobs", json={"spec": SPEC}, headers=read)
    assert (denied.status_code, denied.json()["reason"]) == (403, "SCOPE_MISSING")
    listed = await call(own, "GET", "/v1/keys", headers=admin)
    assert "app" in {each["displayName"] for each in listed.json()["keys"]}
    rotated = await call(own, "POST", f"/v1/keys/{key}:rotate", json={"overlap": "60s"}, headers=admin)
    assert rotated.status_code == 201, rotated.text
    revoked = await call(own, "POST", f"/v1/keys/{key}:revoke", headers=admin)
    assert (revoked.status_code, "revokeTime" in revoked.json()) == (200, True)
    audit = await call(own, "GET", "/v1/auditEntries?pageSize=2", headers=admin)
    targets = [each["target"] for each in audit.json()["entries"]]
    assert targets == [f"tenants/studio/keys/{key}"] * 2

    dry = await call(own, "POST", "/v1/userDeletions", json={"user": "leaver", "dryRun": True}, headers=admin)
    assert (dry.status_code, dry.json()["found"]["jobs"], "location" in dry.headers) == (200, "0", False)
    begun = await call(own, "POST", "/v1/userDeletions", json={"user": "leaver"}, headers=admin)
    assert (await call(own, "GET", begun.headers["location"], headers=admin)).status_code == 200
    assert len((await call(own, "GET", "/v1/userDeletions", headers=admin)).json()["deletions"]) == 1

    as_operator = {"Authorization": f"Bearer {FIRST_OPERATOR}"}
    for method, path, body in (
        ("GET", "/v1/keys", None),
        ("POST", "/v1/keys", {"displayName": "x", "reason": "why"}),
        ("POST", f"/v1/keys/{key}:revoke", {"reason": "why"}),
        ("GET", "/v1/jobs", None),
        ("POST", "/v1/userDeletions", {"user": "leaver", "dryRun": True}),
    ):
        answer = await call(own, method, path, json=body, headers=as_operator)
        assert answer.status_code in (400, 403, 404), (method, path, answer.text)
    named = await call(own, "POST", "/v1/keys", json={"displayName": "x", "tenant": "tenants/story"}, headers=admin)
    assert (named.status_code, named.json()["reason"]) == (400, "FIELD_UNKNOWN")


async def test_webhooks_are_made_changed_tested_and_deleted(own: Rig) -> None:
    text = (await Admin(own.i2v.channel).new_key(key_pb2.Key.TENANT_ADMIN)).key_text
    admin = {"Authorization": f"Bearer {text}"}
    body = {"url": "https://example.com/hook", "eventTypes": ["job.succeeded"]}
    made = await call(own, "POST", "/v1/webhooks", json=body, headers=admin | {"Idempotency-Key": "hook"})
    assert (made.status_code, made.json()["secret"][:6]) == (201, "whsec_"), made.text
    path = made.headers["location"]
    assert path == f"/v1/{made.json()['endpoint']['name']}"
    changed = await call(own, "PATCH", path, json={"state": "DISABLED"}, headers=admin)
    assert (changed.json()["state"], changed.json()["eventTypes"]) == ("DISABLED", ["job.succeeded"])
    off = await call(own, "POST", f"{path}:test", headers=admin)
    assert (off.status_code, off.json()["reason"]) == (422, "WEBHOOK_NOT_ACTIVE")
    wrong = await call(own, "PATCH", path, json={"url": "http://127.0.0.1/"}, headers=admin)
    assert (wrong.status_code, wrong.json()["violations"][0]["field"]) == (400, "url")
    assert (await call(own, "GET", f"{path}/deliveries?state=DEAD", headers=admin)).json()["deliveries"] == []
    assert (await call(own, "GET", path)).json()["reason"] == "SCOPE_MISSING"
    assert (await call(own, "DELETE", path, headers=admin)).status_code == 200
    assert (await call(own, "GET", path, headers=admin)).status_code == 404
