"""The cookie of a session: which one counts, and how it is set."""

from datetime import UTC, datetime

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response

from services.reasons import HttpReason
from services.studio.caller import caller
from services.studio.refused_request import RefusedRequest
from services.studio.sessions.session_cookie import SessionCookie

TOKEN = "i2vs_" + "A" * 43
PLAIN, SECURE = SessionCookie(secure=False), SessionCookie(secure=True)


def request(*headers: tuple[str, str], cookie: SessionCookie | None = PLAIN) -> Request:
    app = Starlette()
    if cookie is not None:
        app.state.session_cookie = cookie
    sent = [(name.encode(), value.encode()) for name, value in (("host", "studio.example"), *headers)]
    return Request({"type": "http", "method": "GET", "headers": sent, "app": app})


def of_page(*headers: tuple[str, str], cookie: SessionCookie | None = PLAIN) -> Request:
    return request(("sec-fetch-site", "same-origin"), *headers, cookie=cookie)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "i2v_session=",
        f"i2v_session=x{TOKEN}",
        f"i2v_session={TOKEN}x",
        f'i2v_session="{TOKEN}"',
        f"I2V_SESSION={TOKEN}",
        f"other_i2v_session={TOKEN}",
        f"__Host-i2v_session={TOKEN}",
        "i2v_session=i2vt_" + "A" * 43,
        "i2v_session=share." + "A" * 43,
        "i2v_session=a-key-of-the-settings",
        "i2v_session=" + "A" * 8000,
        "i2v_session",
    ],
)
def test_what_is_no_token_of_a_session_is_no_credential(text: str) -> None:
    assert PLAIN.token(request(("cookie", text))) == ""
    with pytest.raises(RefusedRequest) as caught:
        caller(of_page(("cookie", text)))
    assert caught.value.status == 401


def test_the_token_is_found_among_other_cookies() -> None:
    assert PLAIN.token(request(("cookie", f"a=1; i2v_session={TOKEN} ; b=2"))) == TOKEN
    assert PLAIN.token(request(("cookie", "a=1"), ("cookie", f"i2v_session={TOKEN}"))) == TOKEN
    assert caller(of_page(("cookie", f"i2v_session={TOKEN}"))).metadata == (("authorization", f"Bearer {TOKEN}"),)


def test_two_cookies_of_the_name_are_refused_and_never_chosen_from() -> None:
    other = "i2vs_" + "B" * 43
    for headers in (
        [("cookie", f"i2v_session={TOKEN}; i2v_session={other}")],
        [("cookie", f"i2v_session={TOKEN}"), ("cookie", f"i2v_session={other}")],
        [("cookie", f"i2v_session={TOKEN};i2v_session={TOKEN}")],
    ):
        with pytest.raises(RefusedRequest) as caught:
            caller(of_page(*headers))
        assert caught.value.reason == HttpReason.COOKIE_REPEATED
        assert TOKEN not in caught.value.message


def test_with_https_only_a_cookie_that_no_other_host_can_set_counts() -> None:
    assert SECURE.token(request(("cookie", f"i2v_session={TOKEN}"))) == ""
    assert SECURE.token(request(("cookie", f"__Host-i2v_session={TOKEN}; i2v_session=x"))) == TOKEN


def test_a_header_of_authorization_counts_alone_also_if_it_is_wrong() -> None:
    cookie = ("cookie", f"i2v_session={TOKEN}")
    assert caller(of_page(cookie, ("authorization", "Bearer key"))).metadata == (("authorization", "Bearer key"),)
    for wrong in ("", "Basic abc", "Bearer", "Bearer a b"):
        with pytest.raises(RefusedRequest) as caught:
            caller(of_page(cookie, ("authorization", wrong)))
        assert caught.value.status == 401


def test_an_application_without_sessions_reads_no_cookie() -> None:
    with pytest.raises(RefusedRequest) as caught:
        caller(of_page(("cookie", f"i2v_session={TOKEN}"), cookie=None))
    assert caught.value.status == 401


def test_the_cookie_is_for_no_script_and_no_other_site() -> None:
    response = Response()
    SECURE.put(response, TOKEN, datetime(2026, 11, 30, 12, tzinfo=UTC))
    assert response.headers["set-cookie"] == (
        f"__Host-i2v_session={TOKEN}; expires=Mon, 30 Nov 2026 12:00:00 GMT; HttpOnly; Path=/; SameSite=strict; Secure"
    )
    plain = Response()
    PLAIN.put(plain, TOKEN, datetime(2026, 11, 30, 12, tzinfo=UTC))
    assert "HttpOnly" in plain.headers["set-cookie"] and "Secure" not in plain.headers["set-cookie"]
    removed = Response()
    SECURE.remove(removed)
    assert removed.headers["set-cookie"].startswith('__Host-i2v_session=""') and "Max-Age=0" in str(removed.raw_headers)
