"""What is hostile to people who are signed in: other sites, odd cookies, wrong keys. Nothing is done, nothing shown."""

import httpx
import pytest

from tests.support.event_source import counted
from tests.support.signed_in import KEY, READS, sign_in, signed_in, writes
from tests.support.studio_rig import Rig

EVIL = "https://evil.example"
SPEC = {"model": "test-model", "textToVideo": {"prompt": "a wave"}, "duration": "1s"}


async def jobs_of(rig: Rig) -> int:
    usage = await rig.i2v.usage(user=rig.user)
    return int(usage.user.reserved.amount_micros + usage.user.spent.amount_micros)


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": EVIL, "Sec-Fetch-Site": "cross-site"},
        {"Origin": EVIL, "Sec-Fetch-Site": "cross-site", "I2V-Page": "1"},
        {"Origin": "null", "Sec-Fetch-Site": "same-origin", "I2V-Page": "1"},
        {"Sec-Fetch-Site": "same-origin", "I2V-Page": "1"},
        {"Origin": "OWN", "Sec-Fetch-Site": "same-site", "I2V-Page": "1"},
        {"Origin": "OWN", "Sec-Fetch-Site": "same-origin"},
        {"Origin": EVIL, "I2V-Page": "1", "Host": "evil.example"},
        {"Origin": EVIL, "I2V-Page": "1", "X-Forwarded-Host": "evil.example"},
        {"Referer": f"{EVIL}/", "I2V-Page": "1"},
        {},
    ],
    ids=str,
)
async def test_no_other_site_submits_a_job_with_the_cookie(own: Rig, headers: dict[str, str]) -> None:
    cookie = await signed_in(own)
    sent = {name: own.address if value == "OWN" else value for name, value in headers.items()}
    if sent.get("Host"):
        sent["Sec-Fetch-Site"] = "cross-site"  # what a browser says of the page that asks
    answer = await own.http.post(f"{own.address}/v1/jobs", json={"spec": SPEC}, headers={**sent, **cookie})
    assert (answer.status_code, answer.json()["reason"]) == (403, "CROSS_SITE")
    assert await jobs_of(own) == 0


async def test_no_other_site_reads_with_the_cookie_or_asks_whether_it_may(own: Rig) -> None:
    cookie = await signed_in(own)
    for site in ("cross-site", "same-site"):
        for path in ("/v1/jobs", "/v1/session", "/v1/usage/events", "/v1/keys"):
            headers = {"Sec-Fetch-Site": site, "Origin": EVIL, **cookie}
            answer = await own.http.get(f"{own.address}{path}", headers=headers)
            assert (answer.status_code, answer.json()["reason"]) == (403, "CROSS_SITE"), path
            assert "access-control-allow-origin" not in answer.headers
    preflight = await own.http.options(
        f"{own.address}/v1/jobs",
        headers={"Origin": EVIL, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "i2v-page"},
    )
    assert "access-control-allow-origin" not in preflight.headers


async def test_no_other_site_signs_a_person_in_or_out(own: Rig) -> None:
    cookie = await signed_in(own)
    for headers in ({"Origin": EVIL}, {"Origin": EVIL, "Sec-Fetch-Site": "cross-site"}, {"Origin": "null"}, {}):
        foreign = await own.http.post(f"{own.address}/sign-in", data={"key": KEY}, headers=headers)
        assert foreign.status_code == 403 and "set-cookie" not in foreign.headers
        out = await own.http.post(f"{own.address}/sign-out", headers={**headers, **cookie})
        assert out.status_code == 403 and "set-cookie" not in out.headers
    for path in ("/sign-out", "/sign-in?key=" + KEY):
        answer = await own.http.get(f"{own.address}{path}", headers={**READS, **cookie})
        assert "set-cookie" not in answer.headers
    assert (await own.http.get(f"{own.address}/v1/jobs", headers={**READS, **cookie})).status_code == 200


async def test_odd_cookies_are_no_credential(own: Rig) -> None:
    cookie = (await signed_in(own))["Cookie"]
    token = cookie.partition("=")[2]
    for status, reason, text in (
        (400, "COOKIE_REPEATED", f"{cookie}; {cookie}"),
        (400, "COOKIE_REPEATED", f"i2v_session=i2vs_{'B' * 43}; {cookie}"),
        (401, "API_KEY_MISSING", f"i2v_session={'A' * 8192}"),
        (401, "API_KEY_MISSING", f"i2v_session={KEY}"),
        (401, "API_KEY_MISSING", f'i2v_session="{token}"'),
        (401, "API_KEY_MISSING", f"i2v_session={token} x"),
        (401, "API_KEY_MISSING", f"I2V_SESSION={token}"),
        (401, "SESSION_ENDED", f"i2v_session=i2vs_{'B' * 43}"),
    ):
        answer = await own.http.get(f"{own.address}/v1/jobs", headers={**READS, "Cookie": text})
        assert (answer.status_code, answer.json()["reason"]) == (status, reason), text[:60]
        page = await own.http.get(f"{own.address}/", headers={**READS, "Cookie": text})
        assert page.status_code in (303, 400), text[:60]
        assert page.status_code == 400 or page.headers["location"] == "/sign-in"
    both = {**READS, "Cookie": cookie, "Authorization": "Bearer wrong"}
    assert (await own.http.get(f"{own.address}/v1/jobs", headers=both)).status_code == 401
    other = {**READS, "Cookie": cookie, "I2V-User": "ben"}
    mismatch = await own.http.get(f"{own.address}/v1/jobs", headers=other)
    assert (mismatch.status_code, mismatch.json()["reason"]) == (403, "USER_MISMATCH")


async def test_a_form_that_is_no_key_says_what_is_wrong_and_never_shows_the_key(own: Rig) -> None:
    refused = await counted(own.http, own.metrics, 'i2v_studio_sign_ins_total{outcome="refused"}')
    secret = "a-secret-that-is-no-key-7d1f"
    for status, given, says in (
        (401, {"key": secret}, "not a key of this service"),
        (401, {"key": ""}, "not a key of this service"),
        (401, {"key": "a key with spaces"}, "not a key of this service"),
        (401, {"key": "clé"}, "not a key of this service"),
        (401, {"key": "k" * 8193}, "not a key of this service"),
        (400, {"key": "k" * 20_000}, "did not arrive"),
        (400, {"key": KEY, "user": "Zoë"}, "A name has"),
        (400, {"key": KEY, "user": "u" * 129}, "A name has"),
        (401, {"key": "the-first-operator"}, "operator"),
        (401, {"key": "share." + "A" * 43}, "not a key of this service"),
        (401, {"key": secret, "user": '"><script>alert(1)</script>'}, "not a key of this service"),
    ):
        answer = await own.http.post(f"{own.address}/sign-in", data=given, headers={**READS, "Origin": own.address})
        assert (answer.status_code, says in answer.text) == (status, True), (given, answer.text[-900:])
        assert "set-cookie" not in answer.headers and secret not in answer.text and "<script" not in answer.text
        assert 'role="alert"' in answer.text
    assert await counted(own.http, own.metrics, 'i2v_studio_sign_ins_total{outcome="refused"}') == refused + 11
    json = await own.http.post(f"{own.address}/sign-in", json={"key": KEY}, headers={**READS, "Origin": own.address})
    assert json.status_code == 400
    said = own.log.read_text() + (await own.http.get(own.metrics)).text
    assert secret not in said and KEY not in said


async def test_a_guesser_of_keys_is_slowed_and_does_not_slow_who_is_signed_in(own: Rig) -> None:
    cookie = await signed_in(own)
    limits = httpx.Limits(max_connections=20)
    async with httpx.AsyncClient(trust_env=False, timeout=60, limits=limits) as http:
        sent = {**READS, "Origin": own.address}
        for number in range(40):
            answer = await http.post(f"{own.address}/sign-in", data={"key": f"guess-{number}"}, headers=sent)
            assert answer.status_code in (401, 429, 503) and "set-cookie" not in answer.headers
            assert (await http.get(f"{own.address}/v1/session", headers={**READS, **cookie})).status_code == 200


async def test_pages_are_framed_by_no_site_and_kept_by_no_cache(own: Rig) -> None:
    cookie = await signed_in(own)
    for path in ("/", "/sign-in", "/sign-in/i2vt_" + "A" * 43, "/sign-in/x"):
        answer = await own.http.get(f"{own.address}{path}", headers={**READS, **cookie})
        policy = answer.headers["content-security-policy"]
        for directive in ("default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"):
            assert directive in policy, path
        assert "unsafe" not in policy and "*" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "same-origin"
        assert answer.headers["cross-origin-opener-policy"] == "same-origin"
        assert answer.headers["cache-control"] == "no-store"


async def test_no_one_is_sent_to_another_host(own: Rig) -> None:
    for path in (
        "/?next=https://evil.example",
        "/sign-in?next=//evil.example",
        "//evil.example/",
        "/sign-in//evil.example",
    ):
        answer = await own.http.get(f"{own.address}{path}", headers={**READS, "Host": "evil.example"})
        assert answer.headers.get("location", "/sign-in") == "/sign-in"
        assert "evil" not in answer.text
    answer = await sign_in(own)
    assert answer.headers["location"] == "/"


async def test_coming_from_another_sites_link_the_page_opens_itself_again(own: Rig) -> None:
    answer = await own.http.get(f"{own.address}/", headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 200 and '<meta http-equiv="refresh" content="0; url=/">' in answer.text
    cookie = await signed_in(own)
    assert (await own.http.post(f"{own.address}/", headers={**writes(own), **cookie})).status_code == 405
