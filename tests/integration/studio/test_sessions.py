"""People sign in by a key or a link; the cookie of their session is then the credential of `/v1`."""

from http.cookies import SimpleCookie

import httpx

from tests.support.studio_rig import Rig

KEY = "studio-key"
PAGE = {"Sec-Fetch-Site": "same-origin"}


async def sign_in(rig: Rig, key: str = KEY, user: str | None = None, **headers: str) -> httpx.Response:
    given = {"key": key, "user": rig.user if user is None else user}
    sent = PAGE | {"Origin": rig.address} | {name.replace("_", "-"): value for name, value in headers.items()}
    async with httpx.AsyncClient(trust_env=False, timeout=30) as http:
        return await http.post(f"{rig.address}/sign-in", data=given, headers=sent)


def cookie_of(answer: httpx.Response) -> str:
    [(name, morsel)] = SimpleCookie(answer.headers["set-cookie"]).items()
    return f"{name}={morsel.value}"


async def test_a_key_becomes_a_cookie_with_which_the_page_reads_jobs(own: Rig) -> None:
    answer = await sign_in(own)
    assert (answer.status_code, answer.headers["location"]) == (303, "/"), answer.text
    signed_in = PAGE | {"Cookie": cookie_of(answer)}
    assert (await own.http.get(f"{own.address}/v1/jobs", headers=signed_in)).status_code == 200
    who = (await own.http.get(f"{own.address}/v1/session", headers=signed_in)).json()
    assert (who["tenant"], who["user"]) == ("studio", own.user)
    page = await own.http.get(f"{own.address}/", headers=signed_in)
    assert page.status_code == 200 and "default-src 'none'" in page.headers["content-security-policy"]
