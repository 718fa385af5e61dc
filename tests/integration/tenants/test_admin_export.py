"""`i2v admin export`: a tenant moves, and an end user gets all data, by an operator's command."""

import json
from pathlib import Path

import pytest
from i2v.admin.v1 import audit_pb2, key_pb2, tenant_pb2
from i2v.v1 import asset_pb2

from tests.integration.tenants.conftest import FIRST_OPERATOR, Admin, refusal
from tests.support import pictures
from tests.support.client_command import Command, Ended
from tests.support.served_orchestrator import Served, caller, text_spec

WHY = ("--reason", "a request")


@pytest.fixture
def command(i2v: Served, tmp_path: Path) -> Command:
    (tmp_path / "here").mkdir()
    return Command(i2v.address, tmp_path / "here")


async def two_users(i2v: Served) -> dict[str, asset_pb2.Asset]:
    """Ann has a picture, and Bob the same one, another one, and a job."""
    same, other = pictures.a_picture(), pictures.a_picture(80, 64)
    made = {"ann": await i2v.upload(same), "bob": await i2v.upload(other, user="bob")}
    await i2v.upload(same, user="bob")
    await i2v.ended((await i2v.submit(text_spec(), user="bob")).name, user="bob")
    return made


async def export(command: Command, *arguments: str, key: str = FIRST_OPERATOR) -> Ended:
    return await command("admin", "export", "--tenant", "studio", *arguments, *WHY, key=key)


async def library(i2v: Served, user: str, tenant: str) -> set[str]:
    answer = await i2v.assets.ListAssets(asset_pb2.ListAssetsRequest(), metadata=caller(tenant, user))
    return {asset.name for asset in answer.assets}


async def test_a_tenant_moves_with_all_its_users(i2v: Served, command: Command) -> None:
    await two_users(i2v)
    ended = await export(command, "all")
    assert ended.code == 0, ended.err
    assert "4 entries, 3 files" in ended.out
    assert (await command("assets", "check", "all", key=None)).code == 0
    asked = await command("assets", "import", "all", key="story-key")
    assert asked.code == 2 and "--all-users" in asked.err
    imported = await command("assets", "import", "all", "--all-users", key="story-key")
    assert imported.code == 0 and "entries: 4 new" in imported.out, imported.err
    for user in ("ann", "bob"):
        assert await library(i2v, user, "story") == await library(i2v, user, "studio")
    one = await command("--user", "eve", "assets", "import", "all", "--of-user", "ann", key="story-key")
    assert one.code == 0 and await library(i2v, "eve", "story") == await library(i2v, "ann", "studio")


async def test_one_user_gets_all_data_and_no_other_users(i2v: Served, command: Command, tmp_path: Path) -> None:
    made = await two_users(i2v)
    ended = await export(command, "bobs", "--of-user", "bob", "--events")
    assert ended.code == 0 and "3 entries, 3 files" in ended.out, ended.err
    texts = {file.name: file.read_text() for file in (tmp_path / "here" / "bobs").glob("*.jsonl")}
    users = {json.loads(line)["user"] for text in texts.values() for line in text.splitlines()}
    assert users == {"bob"} and made["bob"].name in texts["entries.jsonl"]
    assert json.loads(texts["jobs.jsonl"])["events"] and texts["usage.jsonl"]
    assert json.loads((tmp_path / "here" / "bobs" / "export.json").read_text())["tenant"] == "studio"


async def test_the_key_of_an_export_reads_only_is_revoked_and_is_in_the_audit_log(
    i2v: Served, admin: Admin, command: Command
) -> None:
    assert (await export(command, "all")).code == 0
    keys = (await admin.ListKeys(key_pb2.ListKeysRequest(tenant="tenants/studio"))).keys
    key = next(each for each in keys if each.display_name == "export by operators")
    assert list(key.scopes) == [key_pb2.Key.READ, key_pb2.Key.USAGE] and key.HasField("revoke_time")
    log = (await admin.ListAuditEntries(audit_pb2.ListAuditEntriesRequest(tenant="tenants/studio"))).entries
    assert [(entry.action, entry.reason) for entry in log] == [("RevokeKey", "a request"), ("CreateKey", "a request")]


async def test_only_operators_export_a_tenant(i2v: Served, command: Command, admin: Admin) -> None:
    ended = await export(command, "all", key="studio-key")
    assert ended.code == 6 and not (command.folder / "all").exists()
    request = tenant_pb2.ListTenantUsersRequest(tenant="tenants/studio")
    assert await refusal(admin.of("studio-key").ListTenantUsers(request)) == ("PERMISSION_DENIED", "OPERATORS_ONLY")


async def test_the_users_of_a_tenant_are_listed_in_pages(i2v: Served, admin: Admin) -> None:
    await two_users(i2v)
    request = tenant_pb2.ListTenantUsersRequest(tenant="tenants/studio", page_size=1)
    first = await admin.ListTenantUsers(request)
    request.page_token = first.next_page_token
    second = await admin.ListTenantUsers(request)
    assert (list(first.users), list(second.users), second.next_page_token) == (["ann"], ["bob"], "")
    request.tenant = "tenants/story"
    assert await refusal(admin.ListTenantUsers(request)) == ("INVALID_ARGUMENT", "PAGE_TOKEN_MALFORMED")
    unknown = tenant_pb2.ListTenantUsersRequest(tenant="tenants/nowhere")
    assert (await refusal(admin.ListTenantUsers(unknown)))[0] == "NOT_FOUND"
