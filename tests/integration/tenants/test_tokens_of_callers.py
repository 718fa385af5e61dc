"""Callers with JWTs, over the real service."""

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from i2v.admin.v1 import key_pb2, tenant_pb2
from i2v.v1 import job_pb2, usage_pb2, usage_pb2_grpc

from services.rpc.status_codes import from_call
from tests.integration.tenants.conftest import FIRST_OPERATOR, Admin, becomes, refusal
from tests.support.builders import ScriptedBackend
from tests.support.client_command import Command
from tests.support.served_orchestrator import Served, caller, served, text_spec
from tests.support.token_issuer import AUDIENCE, ISSUER, TokenIssuer

DENIED = "PERMISSION_DENIED"


@pytest.fixture
def issuer() -> TokenIssuer:
    return TokenIssuer()


@pytest.fixture
async def i2v(database: str, tmp_path: Path, backend: ScriptedBackend, issuer: TokenIssuer) -> AsyncIterator[Served]:
    (tmp_path / "jwks.json").write_bytes(issuer.jwks())
    (tmp_path / "operator-key").write_text(FIRST_OPERATOR)

    def change(values: dict[str, Any]) -> None:
        values |= {"operator_key_file": str(tmp_path / "operator-key"), "jwt_issuer": ISSUER, "jwt_audience": AUDIENCE}
        values |= {"jwt_jwks_file": str(tmp_path / "jwks.json"), "jwt_refetch_s": 0.01}

    async with served(database, tmp_path, {"test": (backend, 1)}, change=change) as running:
        yield running


def a_token(issuer: TokenIssuer, **claims: object) -> str:
    return issuer.token(time.time(), **claims)


async def test_a_token_makes_a_video_for_its_user(i2v: Served, issuer: TokenIssuer) -> None:
    token = a_token(issuer)
    job = await i2v.ended((await i2v.submit(text_spec(), key=token)).name, key=token)
    assert job.state == job_pb2.Job.SUCCEEDED
    assert (await i2v.job(job.name, user="ann")).name == job.name, "the same user, by an API key"


async def test_the_user_of_a_token_cannot_be_overridden(i2v: Served, issuer: TokenIssuer) -> None:
    usage: Any = usage_pb2_grpc.UsageServiceStub(i2v.channel)
    request, token = usage_pb2.GetUsageRequest(), a_token(issuer)
    assert await refusal(i2v.usage(key=token, user="bob")) == (DENIED, "USER_MISMATCH")
    await usage.GetUsage(request, metadata=caller(key=token)[:1])
    without = a_token(issuer, sub=None)
    await i2v.usage(key=without, user="bob")


async def test_a_token_may_do_what_its_scopes_say(i2v: Served, issuer: TokenIssuer) -> None:
    token = a_token(issuer, scope="read")
    assert await refusal(i2v.submit(text_spec(), key=token)) == (DENIED, "SCOPE_MISSING")
    listing = i2v.jobs.ListJobs(job_pb2.ListJobsRequest(), metadata=caller(key=token))
    assert not (await listing).jobs
    admin = Admin(i2v.channel, a_token(issuer, scope="tenant-admin"))
    made = await admin.CreateKey(key_pb2.CreateKeyRequest(display_name="app"))
    assert made.key.name.startswith("tenants/studio/keys/")


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"exp": 1}, "TOKEN_EXPIRED"),
        ({"nbf": 2**40}, "TOKEN_NOT_YET_VALID"),
        ({"iss": "another"}, "TOKEN_ISSUER"),
        ({"aud": "another"}, "TOKEN_AUDIENCE"),
        ({"tenant": "nowhere"}, "TOKEN_TENANT_UNKNOWN"),
    ],
)
async def test_a_bad_token_is_refused(i2v: Served, issuer: TokenIssuer, claims: dict[str, object], reason: str) -> None:
    assert await refusal(i2v.usage(key=a_token(issuer, **claims))) == ("UNAUTHENTICATED", reason)


async def test_a_key_id_that_rotates_is_found_in_the_file(i2v: Served, issuer: TokenIssuer, tmp_path: Path) -> None:
    issuer.add("two")
    (tmp_path / "jwks.json").write_bytes(issuer.jwks())
    refusals = set()
    while True:
        try:
            await i2v.usage(key=a_token(issuer))
            break
        except grpc.aio.AioRpcError as error:
            refusals.add(from_call(error).reason)
    assert refusals == {"TOKEN_KEY_UNKNOWN"}


async def test_a_token_ends_with_its_tenant_and_an_open_watch_at_its_expiry(
    i2v: Served, issuer: TokenIssuer, backend: ScriptedBackend
) -> None:
    backend.gate.clear()
    job = await i2v.submit(text_spec(), key=a_token(issuer))
    short = a_token(issuer, exp=time.time() + 1.5)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await i2v.ended(job.name, key=short)
    assert from_call(caught.value).reason == "TOKEN_EXPIRED"
    admin = Admin(i2v.channel)
    await admin.DeleteTenant(tenant_pb2.DeleteTenantRequest(name="tenants/studio", reason="gone", cancel_jobs=True))
    await becomes(("UNAUTHENTICATED", "API_KEY_REVOKED"), lambda: i2v.job(job.name, key=a_token(issuer)))


async def test_the_command_takes_a_token_in_place_of_a_key(i2v: Served, issuer: TokenIssuer, tmp_path: Path) -> None:
    command, token = Command(i2v.address, tmp_path), a_token(issuer)
    assert "Plan test" in (await command("usage", key=token)).out
    refused = await command("--user", "bob", "usage", key=token)
    assert refused.code and "another user" in refused.err
