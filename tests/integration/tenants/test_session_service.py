"""Sessions over the real service: of keys and JWTs, with the scopes asked for, ended in every process."""

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from i2v.admin.v1 import user_pb2, user_pb2_grpc
from i2v.v1 import job_pb2, session_pb2, session_pb2_grpc

from services.orchestrator.role import Role
from services.orchestrator.store.schema import jobs
from services.rpc.redaction import redact
from tests.integration.tenants.conftest import FIRST_OPERATOR, Admin, becomes, refusal
from tests.support.builders import ScriptedBackend
from tests.support.client_command import Command
from tests.support.served_orchestrator import Served, caller, served, text_spec
from tests.support.token_issuer import AUDIENCE, ISSUER, TokenIssuer

DENIED = "PERMISSION_DENIED"
ENDED = ("UNAUTHENTICATED", "SESSION_ENDED")
SCOPES = session_pb2.Session.Scope


@pytest.fixture
def issuer() -> TokenIssuer:
    return TokenIssuer()


@pytest.fixture
async def i2v(database: str, tmp_path: Path, backend: ScriptedBackend, issuer: TokenIssuer) -> AsyncIterator[Served]:
    (tmp_path / "jwks.json").write_bytes(issuer.jwks())
    (tmp_path / "operator-key").write_text(FIRST_OPERATOR)

    def change(values: dict[str, Any]) -> None:
        values |= {"operator_key_file": str(tmp_path / "operator-key"), "jwt_issuer": ISSUER, "jwt_audience": AUDIENCE}
        values |= {"jwt_jwks_file": str(tmp_path / "jwks.json"), "studio_url": "https://studio.example/"}

    async with served(database, tmp_path, {"test": (backend, 1)}, change=change) as running:
        yield running


def stub(i2v: Served) -> Any:
    return session_pb2_grpc.SessionServiceStub(i2v.channel)


def by(key: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {key}"),)


async def begin(i2v: Served, *scopes: int, **who: str) -> session_pb2.CreateSessionResponse:
    return await stub(i2v).CreateSession(session_pb2.CreateSessionRequest(scopes=scopes), metadata=caller(**who))


async def who_is(i2v: Served, key: str) -> session_pb2.Session:
    return await stub(i2v).GetSession(session_pb2.GetSessionRequest(), metadata=by(key))


async def end(i2v: Served, key: str) -> None:
    await stub(i2v).DeleteSession(session_pb2.DeleteSessionRequest(), metadata=by(key))


async def test_a_session_is_of_the_keys_user_and_has_its_scopes(i2v: Served) -> None:
    made = await begin(i2v, user="ann")
    assert await who_is(i2v, made.token) == made.session
    assert (made.session.tenant, made.session.user) == ("studio", "ann")
    assert made.session.scopes == [SCOPES.SUBMIT, SCOPES.READ, SCOPES.ASSETS, SCOPES.USAGE]
    job = await i2v.ended((await i2v.submit(text_spec(), key=made.token)).name, key=made.token)
    async with i2v.app.store.database.reading() as connection:
        of_job = sa.select(jobs.c.key).where(jobs.c.id == job.name.removeprefix("jobs/"))
        assert (await connection.execute(of_job)).scalar_one() == made.session.key, "the limits of the key hold"
    assert await refusal(i2v.job(job.name, key=made.token, user="bob")) == (DENIED, "USER_MISMATCH")
    of_key = await stub(i2v).GetSession(session_pb2.GetSessionRequest(), metadata=caller(user="bob"))
    assert (of_key.user, of_key.key) == ("bob", made.session.key)
    assert not of_key.HasField("create_time") and not of_key.HasField("expire_time")


async def test_a_session_has_no_more_scopes_than_it_asks_for_and_its_key_has(i2v: Served) -> None:
    made = await begin(i2v, SCOPES.READ)
    assert made.session.scopes == [SCOPES.READ]
    assert await refusal(i2v.submit(text_spec(), key=made.token)) == (DENIED, "SCOPE_MISSING")
    await i2v.jobs.ListJobs(job_pb2.ListJobsRequest(), metadata=by(made.token))
    assert await refusal(begin(i2v, SCOPES.READ, SCOPES.TENANT_ADMIN)) == (DENIED, "SCOPE_MISSING")
    assert await refusal(begin(i2v, 77)) == ("INVALID_ARGUMENT", "SCOPE_UNKNOWN")


async def test_a_session_of_a_jwt_ends_with_it(i2v: Served, issuer: TokenIssuer) -> None:
    expires = time.time() + 1000
    made = await begin(i2v, key=issuer.token(time.time(), scope="read", exp=expires), user="ann")
    assert (made.session.expire_time.seconds, made.session.key) == (int(expires), "")
    assert made.session.scopes == [SCOPES.READ]
    assert (await who_is(i2v, made.token)).user == "ann"
    link = await stub(i2v).CreateSignInLink(
        session_pb2.CreateSignInLinkRequest(), metadata=by(issuer.token(time.time(), scope="read", exp=expires))
    )
    begun = await stub(i2v).ExchangeTicket(session_pb2.ExchangeTicketRequest(), metadata=by(link.ticket))
    assert begun.session.expire_time.seconds == int(expires)


async def test_a_session_ends_itself_alone_and_begins_nothing(i2v: Served) -> None:
    made, other = await begin(i2v), await begin(i2v)
    assert await refusal(begin(i2v, key=made.token)) == (DENIED, "SESSION_FROM_SESSION")
    link = stub(i2v).CreateSignInLink(session_pb2.CreateSignInLinkRequest(), metadata=by(made.token))
    assert await refusal(link) == (DENIED, "SESSION_FROM_SESSION")
    assert await refusal(end(i2v, "studio-key")) == (DENIED, "SESSION_ONLY")
    exchange = stub(i2v).ExchangeTicket(session_pb2.ExchangeTicketRequest(), metadata=by(made.token))
    assert await refusal(exchange) == (DENIED, "TICKET_ONLY")
    assert await refusal(begin(i2v, key=FIRST_OPERATOR)) == (DENIED, "TENANTS_ONLY")
    await end(i2v, made.token)
    assert await refusal(who_is(i2v, made.token)) == ENDED
    assert await refusal(end(i2v, made.token)) == ENDED
    await who_is(i2v, other.token)


async def test_an_end_holds_in_another_process(i2v: Served, database: str, tmp_path: Path) -> None:
    folder = tmp_path / "another"
    folder.mkdir()
    async with served(database, folder, None, role=Role.API) as another:
        made = await begin(i2v)
        await who_is(another, made.token)
        await end(i2v, made.token)
        await becomes(ENDED, lambda: who_is(another, made.token))


async def test_a_deleted_user_is_signed_out_and_begins_no_session(i2v: Served) -> None:
    made = await begin(i2v, user="cleo")
    await who_is(i2v, made.token)
    users: Any = user_pb2_grpc.UserServiceStub(i2v.channel)
    request = user_pb2.DeleteUserRequest(
        tenant="tenants/studio", user="cleo", request_id="5f0c1e0a-8f3d-4c6e-9d55-0f2b7a1c9e11", reason="asked"
    )
    await users.DeleteUser(request, metadata=by(FIRST_OPERATOR))
    await becomes(ENDED, lambda: who_is(i2v, made.token))


async def test_open_prints_a_link_and_opens_it_in_the_browser_that_is_named(i2v: Served, tmp_path: Path) -> None:
    command = Command(i2v.address, tmp_path)
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {tmp_path / "opened"}\n')
    browser.chmod(0o755)
    for arguments in (("open",), ("open", "--browser"), ("open", "--json")):
        ended = await command(*arguments, key="studio-key", BROWSER=f"{browser} %s", TMPDIR=str(tmp_path))
        assert ended.code == 0, ended.err
        assert "https://studio.example/sign-in/i2vt_" in ended.out and "studio-key" not in ended.out + ended.err
    opened = (tmp_path / "opened").read_text().strip()  # others can read a process's arguments
    assert opened.startswith("file://") and "i2vt_" not in opened
    page = Path(opened.removeprefix("file://"))
    assert 'content="0; url=https://studio.example/sign-in/i2vt_' in page.read_text()
    assert page.parent.stat().st_mode & 0o077 == 0
    token = (await begin(i2v)).token
    refused = await command("open", key=token)
    assert refused.code != 0 and "Call with the key" in refused.err and token not in refused.err


async def test_no_text_for_others_shows_a_token_or_a_ticket(i2v: Served) -> None:
    admin = Admin(i2v.channel)
    made = await begin(i2v, key=(await admin.new_key()).key_text)
    for text in (made.token, f"it was ({made.token})", f"/sign-in/i2vt_{made.token[5:]} 200"):
        assert made.token[5:] not in redact(text) and "_[redacted]" in redact(text)
