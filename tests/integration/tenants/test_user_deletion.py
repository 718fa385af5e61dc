"""The deletion of a user through the real server, the HTTP process and the command."""

import json
import uuid
from pathlib import Path
from typing import Any

import grpc
import pytest
from i2v.admin.v1 import key_pb2, user_pb2, user_pb2_grpc
from i2v.v1 import asset_pb2, job_pb2

from services.orchestrator.role import Role
from tests.integration.tenants.conftest import FIRST_OPERATOR, Admin, refusal
from tests.support.blob_stores import until
from tests.support.builders import ScriptedBackend
from tests.support.client_command import Command
from tests.support.erasure_rig import found_in
from tests.support.served_orchestrator import Served, caller, image_spec, served, text_spec
from tests.support.studio_rig import PICTURE, before_an_api

USER = "eve-91d2@example.org"
PROMPT = "a walrus on a tricycle"
WHY = ("--reason", "she asked for it")
BEN = {"user": "ben"}


def users(channel: grpc.aio.Channel) -> Any:
    return user_pb2_grpc.UserServiceStub(channel)


def bearer(key: str = FIRST_OPERATOR) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {key}"),)


async def listed(i2v: Served, user: str) -> tuple[int, int]:
    """Returns how many jobs and assets a user sees."""
    jobs = await i2v.jobs.ListJobs(job_pb2.ListJobsRequest(), metadata=caller(user=user))
    assets = await i2v.assets.ListAssets(asset_pb2.ListAssetsRequest(show_deleted=True), metadata=caller(user=user))
    return len(jobs.jobs), len(assets.assets)


async def test_a_deleted_user_is_gone_for_every_reader_and_another_with_the_same_picture_keeps_all(
    database: str, tmp_path: Path
) -> None:
    key = tmp_path / "operator-key"
    key.write_text(FIRST_OPERATOR)
    async with before_an_api(database, tmp_path, operator_key_file=str(key)) as rig:
        i2v, eve, command = rig.i2v, {"user": USER}, Command(rig.i2v.address, tmp_path)
        picture = await i2v.upload(PICTURE, **eve)
        assert (await i2v.upload(PICTURE, **BEN)).name == picture.name
        request_id = str(uuid.uuid4())
        job = await i2v.ended((await i2v.submit(image_spec(picture.name, PROMPT), request_id, **eve)).name, **eve)
        others = await i2v.ended((await i2v.submit(image_spec(picture.name, "a hill"), **BEN)).name, **BEN)
        films = {who["user"]: await i2v.download(made.output.asset, **who) for made, who in ((job, eve), (others, BEN))}
        signed = asset_pb2.SignUrlRequest(name=picture.name)
        urls = {who["user"]: (await i2v.assets.SignUrl(signed, metadata=caller(**who))).url for who in (eve, BEN)}
        assert [(await rig.http.get(url)).status_code for url in urls.values()] == [200, 200]

        counted = await command("admin", "users", "rm", "studio", USER, "--dry-run", key=FIRST_OPERATOR)
        assert (counted.code, "jobs              1, 0 of them" in counted.out) == (0, True), counted
        assert "Nothing was deleted." in counted.err and await listed(i2v, USER) == (1, 2)
        held = ("admin", "legal-hold", "set", "studio", "--reason", "a lawsuit")
        assert (await command(*held, key=FIRST_OPERATOR)).code == 0 and "legal hold" not in counted.err
        counted = await command("admin", "users", "rm", "studio", USER, "--dry-run", key=FIRST_OPERATOR)
        assert (counted.code, "under a legal hold: the deletion would be refused" in counted.err) == (0, True), counted
        assert (await command("admin", "legal-hold", "clear", *held[3:], key=FIRST_OPERATOR)).code == 0
        refused = await command("admin", "users", "rm", "studio", USER, key=FIRST_OPERATOR)
        assert refused.code != 0 and "reason" in refused.err
        removed = await command("admin", "users", "rm", "studio", USER, "--wait", *WHY, key=FIRST_OPERATOR)
        assert (removed.code, "removing-bytes" in removed.out) == (0, True), removed

        assert [(await rig.http.get(url)).status_code for url in urls.values()] == [404, 200]
        assert await listed(i2v, USER) == (0, 0)
        for call in (
            i2v.job(job.name, **eve),
            i2v.download(picture.name, **eve),
            i2v.download(job.output.asset, **eve),
        ):
            assert (await refusal(call))[0] == "NOT_FOUND"
        used = await i2v.usage(**eve)
        assert used.user.spent.amount_micros == 0 < used.tenant.spent.amount_micros and not used.entries
        assert await found_in(i2v.app.store, USER) == await found_in(i2v.app.store, PROMPT) == set()
        assert await i2v.app.store.counter_audits.full(limit=9) == []

        assert await listed(i2v, "ben") == (1, 2)
        assert await i2v.download(others.output.asset, **BEN) == films["ben"]
        again = await i2v.ended((await i2v.submit(image_spec(picture.name), **BEN)).name, **BEN)
        assert again.state == job_pb2.Job.SUCCEEDED

        assert (await i2v.upload(PICTURE, **eve)).name == picture.name, "the user may begin again"
        second = await i2v.submit(image_spec(picture.name, PROMPT), request_id, **eve)
        assert second.name != job.name
        assert (await i2v.ended(second.name, **eve)).state == job_pb2.Job.SUCCEEDED
        assert await listed(i2v, USER) == (1, 2)
        log = await command("admin", "log", "--tenant", "studio", "--json", key=FIRST_OPERATOR)
        (entry, *_) = [json.loads(line) for line in log.out.splitlines() if "DeleteUser" in line]
        assert entry["target"].startswith("tenants/studio/users/deleted-") and entry["outcome"] == "DONE"


async def test_running_jobs_of_a_deleted_user_are_stopped(i2v: Served, backend: ScriptedBackend) -> None:
    backend.gate.clear()
    job = await i2v.submit(text_spec(PROMPT), user=USER)
    await backend.begun.wait()
    request = user_pb2.DeleteUserRequest(tenant="tenants/studio", user=USER, request_id=str(uuid.uuid4()), reason="x")
    begun = (await users(i2v.channel).DeleteUser(request, metadata=bearer())).deletion
    repeated = (await users(i2v.channel).DeleteUser(request, metadata=bearer())).deletion
    assert repeated.name == begun.name
    named = user_pb2.GetUserDeletionRequest(name=begun.name)

    async def erased() -> bool:
        found = await users(i2v.channel).GetUserDeletion(named, metadata=bearer())
        return bool(found.state != user_pb2.UserDeletion.DELETING)

    await until(erased)
    now = await users(i2v.channel).GetUserDeletion(named, metadata=bearer())
    assert (now.user, now.pseudonym, now.deleted.jobs) == ("", begun.pseudonym, 1)
    assert backend.closed == 1
    assert (await refusal(i2v.job(job.name, user=USER)))[0] == "NOT_FOUND"
    assert await i2v.app.store.counter_audits.full(limit=9) == []


async def test_what_is_new_of_the_user_is_refused_meanwhile_and_only_admins_may_delete(
    database: str, tmp_path: Path
) -> None:
    key = tmp_path / "operator-key"
    key.write_text(FIRST_OPERATOR)
    change = {"operator_key_file": str(key)}
    # Without a worker a deletion does not go on.
    async with served(database, tmp_path, None, role=Role.API, change=lambda values: values.update(change)) as i2v:
        admin, deletions = Admin(i2v.channel), users(i2v.channel)
        own = (await admin.new_key(key_pb2.Key.TENANT_ADMIN)).key_text
        request = user_pb2.DeleteUserRequest(user=USER, request_id=str(uuid.uuid4()))
        begun = (await deletions.DeleteUser(request, metadata=bearer(own))).deletion
        assert (begun.state, begun.user) == (user_pb2.UserDeletion.DELETING, USER)
        meanwhile = ("FAILED_PRECONDITION", "USER_IN_DELETION")
        assert await refusal(i2v.submit(text_spec(), user=USER)) == meanwhile
        assert await refusal(i2v.upload(PICTURE, user=USER)) == meanwhile
        await i2v.submit(text_spec(), user="ben")
        found = await deletions.ListUserDeletions(user_pb2.ListUserDeletionsRequest(), metadata=bearer(own))
        assert [each.name for each in found.deletions] == [begun.name]
        request.tenant = "tenants/story"
        assert await refusal(deletions.DeleteUser(request, metadata=bearer(own))) == (
            "PERMISSION_DENIED",
            "OTHER_TENANT",
        )
        plain = (await admin.new_key(key_pb2.Key.READ, key_pb2.Key.ASSETS)).key_text
        denied = ("PERMISSION_DENIED", "SCOPE_MISSING")
        assert await refusal(deletions.DeleteUser(request, metadata=bearer(plain))) == denied
        request.tenant = "tenants/nowhere"
        assert (await refusal(deletions.DeleteUser(request, metadata=bearer())))[1] == "REASON_MISSING"
        request.reason = "x"
        assert (await refusal(deletions.DeleteUser(request, metadata=bearer())))[0] == "NOT_FOUND"
        request.tenant, request.user = "tenants/studio", "ben"
        assert (await refusal(deletions.DeleteUser(request, metadata=bearer())))[1] == "REQUEST_ID_REUSED"


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("user", "", "USER_MALFORMED"),
        ("user", "x" * 129, "USER_MALFORMED"),
        ("request_id", "7", "REQUEST_ID_MALFORMED"),
    ],
)
async def test_malformed_requests_are_refused(i2v: Served, field: str, value: str, reason: str) -> None:
    request = user_pb2.DeleteUserRequest(tenant="tenants/studio", user="x", request_id=str(uuid.uuid4()), reason="x")
    setattr(request, field, value)
    assert (await refusal(users(i2v.channel).DeleteUser(request, metadata=bearer())))[1] == reason
