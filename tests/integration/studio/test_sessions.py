"""People sign in by a key or a link; the cookie of their session is the credential of `/v1` until it ends."""

import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http.cookies import SimpleCookie

import sqlalchemy as sa
from i2v.admin.v1 import key_pb2, tenant_pb2

from services.orchestrator.store.schema import api_keys, sessions
from tests.integration.tenants.conftest import Admin
from tests.support.event_source import counted, events
from tests.support.served_orchestrator import text_spec
from tests.support.signed_in import KEY, READS, sign_in, sign_in_link, signed_in, token_of, writes
from tests.support.studio_rig import Rig, http_process
from tools.stack_process import HOST, free_port

SIGN_INS = 'i2v_studio_sign_ins_total{{outcome="{}"}}'


async def status(rig: Rig, cookie: dict[str, str], path: str = "/v1/jobs") -> int:
    return (await rig.http.get(f"{rig.address}{path}", headers={**READS, **cookie})).status_code


async def becomes_ended(rig: Rig, cookie: dict[str, str], reason: str) -> None:
    """Waits until a session is refused for a reason, which must hold within five seconds, and with a long delay 60."""
    async with asyncio.timeout(60):
        while True:
            answer = await rig.http.get(f"{rig.address}/v1/jobs", headers={**READS, **cookie})
            if answer.status_code == 401 and answer.json()["reason"] == reason:
                return
            await asyncio.sleep(0.1)


async def test_a_key_becomes_a_cookie_with_which_the_page_reads_and_submits(own: Rig) -> None:
    before = await counted(own.http, own.metrics, SIGN_INS.format("signed-in"))
    answer = await sign_in(own)
    assert (answer.status_code, answer.headers["location"]) == (303, "/"), answer.text
    morsel = SimpleCookie(answer.headers["set-cookie"])["i2v_session"]
    assert (morsel["httponly"], morsel["samesite"].lower(), morsel["path"], morsel["domain"]) == (
        True,
        "strict",
        "/",
        "",
    )
    ends = parsedate_to_datetime(morsel["expires"]) - datetime.now(UTC)
    assert timedelta(hours=11) < ends <= timedelta(hours=12)
    cookie = {"Cookie": f"i2v_session={morsel.value}"}
    who = (await own.http.get(f"{own.address}/v1/session", headers={**READS, **cookie})).json()
    assert (who["tenant"], who["user"], who["suspended"]) == ("studio", own.user, False)
    assert who["scopes"] == ["SUBMIT", "READ", "ASSETS", "USAGE"]
    spec = {"model": "test-model", "textToVideo": {"prompt": "a wave"}, "duration": "1s"}
    made = await own.http.post(f"{own.address}/v1/jobs", json={"spec": spec}, headers={**writes(own), **cookie})
    assert made.status_code == 201, made.text
    listed = (await own.http.get(f"{own.address}/v1/jobs", headers={**READS, **cookie})).json()
    assert [job["name"] for job in listed["jobs"]] == [made.json()["name"]]
    page = await own.http.get(f"{own.address}/", headers={**READS, **cookie})
    assert page.status_code == 200
    assert await counted(own.http, own.metrics, SIGN_INS.format("signed-in")) == before + 1


async def test_a_cookie_that_was_stolen_is_worth_nothing_after_the_sign_out(own: Rig) -> None:
    cookie = await signed_in(own)
    assert await status(own, cookie) == 200
    out = await own.http.post(f"{own.address}/sign-out", headers={**READS, "Origin": own.address, **cookie})
    assert (out.status_code, out.headers["location"]) == (303, "/sign-in")
    assert SimpleCookie(out.headers["set-cookie"])["i2v_session"]["max-age"] == "0"
    answer = await own.http.get(f"{own.address}/v1/jobs", headers={**READS, **cookie})
    assert (answer.status_code, answer.json()["reason"]) == (401, "SESSION_ENDED")
    home = await own.http.get(f"{own.address}/", headers={**READS, **cookie})
    assert (home.status_code, home.headers["location"]) == (303, "/sign-in")
    again = await own.http.post(f"{own.address}/sign-out", headers={**READS, "Origin": own.address, **cookie})
    assert again.status_code == 303, "a second sign-out is no error"


async def test_signing_in_again_ends_the_session_before_and_takes_no_token_from_the_browser(own: Rig) -> None:
    first = await signed_in(own)
    chosen = "i2vs_" + "A" * 43
    for cookie in (first["Cookie"], f"i2v_session={chosen}"):
        answer = await sign_in(own, Cookie=cookie)
        assert answer.status_code == 303
        assert token_of(answer) not in (chosen, first["Cookie"].partition("=")[2])
    assert await status(own, first) == 401
    assert await status(own, {"Cookie": f"i2v_session={chosen}"}) == 401


async def test_a_link_signs_in_once_and_looking_at_it_does_not_use_it_up(own: Rig) -> None:
    made = await sign_in_link(own)
    assert made.url == f"{own.address}/sign-in/{made.ticket}"
    for _ in range(3):
        seen = await own.http.get(made.url)
        assert seen.status_code == 200 and "set-cookie" not in seen.headers
    forged = await own.http.post(made.url, headers={"Origin": "https://evil.example"})
    assert forged.status_code == 403 and "set-cookie" not in forged.headers
    sent = {**READS, "Origin": own.address}
    answers = await asyncio.gather(*(own.http.post(made.url, headers=sent) for _ in range(5)))
    assert sorted(each.status_code for each in answers) == [303, 410, 410, 410, 410]
    [used] = [each for each in answers if each.status_code == 303]
    assert await status(own, {"Cookie": f"i2v_session={token_of(used)}"}, "/v1/session") == 200
    assert (await own.http.post(made.url, headers=sent)).status_code == 410
    as_key = await own.http.get(f"{own.address}/v1/jobs", headers={"Authorization": f"Bearer {made.ticket}"})
    assert as_key.status_code == 401


async def test_a_late_link_signs_no_one_in(own: Rig) -> None:
    made = await sign_in_link(own)
    async with own.i2v.app.store.database.reading() as connection:
        late = sa.update(sessions).where(sessions.c.user == own.user)
        await connection.execute(late.values(ticket_expire_time=datetime.now(UTC) - timedelta(seconds=1)))
    answer = await own.http.post(made.url, headers={**READS, "Origin": own.address})
    assert answer.status_code == 410 and "set-cookie" not in answer.headers


async def test_a_session_makes_no_session_and_a_key_ends_none(own: Rig) -> None:
    token = (await signed_in(own))["Cookie"].partition("=")[2]
    refused = await sign_in(own, token)
    assert refused.status_code == 401 and "set-cookie" not in refused.headers
    assert await status(own, {"Cookie": f"i2v_session={token}"}) == 200


async def test_a_session_ends_with_its_key_also_in_the_middle_of_a_stream(own: Rig) -> None:
    admin = Admin(own.i2v.channel)
    made = await admin.new_key()
    cookie = await signed_in(own, made.key_text)
    async with (
        asyncio.timeout(60),
        own.http.stream("GET", f"{own.address}/v1/usage/events", headers={**READS, **cookie}) as answer,
    ):
        sent = events(answer)
        await anext(sent)
        await admin.RevokeKey(key_pb2.RevokeKeyRequest(name=made.key.name, reason="leaked"))
        *_, last = [each async for each in sent]
    assert (last.kind, last.data["status"], last.data["reason"]) == ("error", 401, "API_KEY_REVOKED")
    await becomes_ended(own, cookie, "API_KEY_REVOKED")
    assert (await sign_in(own, made.key_text)).status_code == 401


async def test_a_person_whose_key_has_expired_is_signed_out(own: Rig) -> None:
    made = await Admin(own.i2v.channel).new_key()
    cookie = await signed_in(own, made.key_text)
    async with own.i2v.app.store.database.reading() as connection:
        past = sa.update(api_keys).where(api_keys.c.id == made.key.name.rpartition("/")[2])
        await connection.execute(past.values(expire_time=datetime.now(UTC)))
    await becomes_ended(own, cookie, "API_KEY_EXPIRED")
    out = await own.http.post(f"{own.address}/sign-out", headers={**READS, "Origin": own.address, **cookie})
    assert (out.status_code, out.headers.get("location")) == (303, "/sign-in")
    assert "set-cookie" in out.headers


async def test_a_stream_ends_when_its_session_expires_or_is_ended(own: Rig) -> None:
    for expires in (True, False):
        cookie = await signed_in(own)
        async with (
            asyncio.timeout(60),
            own.http.stream("GET", f"{own.address}/v1/usage/events", headers={**READS, **cookie}) as answer,
        ):
            sent = events(answer)
            await anext(sent)
            if expires:
                async with own.i2v.app.store.database.reading() as connection:
                    past = sa.update(sessions).where(sessions.c.user == own.user)
                    await connection.execute(past.values(expire_time=datetime.now(UTC)))
            else:
                await own.http.post(f"{own.address}/sign-out", headers={**READS, "Origin": own.address, **cookie})
            *_, last = [each async for each in sent]
        assert (last.kind, last.data["reason"]) == ("error", "SESSION_ENDED")


async def test_a_suspended_tenant_begins_no_session_and_one_that_is_there_reads(own: Rig) -> None:
    admin = Admin(own.i2v.channel)
    made = await admin.new_key(tenant="story")
    cookie = await signed_in(own, made.key_text)
    await admin.SuspendTenant(tenant_pb2.SuspendTenantRequest(name="tenants/story", reason="unpaid"))
    async with asyncio.timeout(60):
        while True:
            answer = await sign_in(own, made.key_text)
            if answer.status_code == 403:
                break
            await asyncio.sleep(0.1)
    assert "suspended" in answer.text and "set-cookie" not in answer.headers
    assert await status(own, cookie) == 200
    await admin.ResumeTenant(tenant_pb2.ResumeTenantRequest(name="tenants/story", reason="paid"))


async def test_a_watch_by_a_session_shows_a_job_to_its_end(own: Rig) -> None:
    cookie = await signed_in(own)
    job = await own.i2v.submit(text_spec(), user=own.user)
    async with own.http.stream("GET", f"{own.address}/v1/{job.name}/events", headers={**READS, **cookie}) as answer:
        assert [each.kind async for each in events(answer)][-1] == "succeeded"


async def test_while_the_api_is_away_the_form_says_that_nothing_is_wrong_with_the_key(own: Rig) -> None:
    port, folder = free_port(), own.log.parent / "away"
    folder.mkdir()
    async with http_process(folder, port, f"{HOST}:{free_port()}", {"API_TIMEOUT_S": "0.5"}) as (process, _):
        address = f"http://{HOST}:{port}"
        sent = {**READS, "Origin": address}
        answer = await own.http.post(f"{address}/sign-in", data={"key": KEY}, headers=sent)
        assert answer.status_code in (503, 504) and "Nothing is wrong with your key" in answer.text
        cookie = {"Cookie": "i2v_session=i2vs_" + "A" * 43}
        home = await own.http.get(f"{address}/", headers={**READS, **cookie})
        assert home.status_code == 503 and "set-cookie" not in home.headers
        out = await own.http.post(f"{address}/sign-out", headers={**sent, **cookie})
        assert out.status_code == 503 and "You are still signed in" in out.text
        assert KEY not in process.log.read_text()
