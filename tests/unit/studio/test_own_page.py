"""Which requests may use the cookie of a session: those of our own pages, and no others."""

import pytest
from starlette.requests import Request

from services.reasons import HttpReason
from services.studio.refused_request import RefusedRequest
from services.studio.sessions.own_page import demand_own_form, demand_own_page

HOST = "studio.example"
HEADERS = {"host": HOST}
ORIGIN = f"https://{HOST}"
POST = HEADERS | {"origin": ORIGIN, "i2v-page": "1", "sec-fetch-site": "same-origin"}


def request(method: str, headers: dict[str, str], *more: tuple[str, str]) -> Request:
    sent = [(name.encode(), value.encode()) for name, value in (*headers.items(), *more)]
    return Request({"type": "http", "method": method, "headers": sent})


def may(method: str, headers: dict[str, str], *more: tuple[str, str], secure: bool = True) -> bool:
    try:
        demand_own_page(request(method, headers, *more), secure=secure)
    except RefusedRequest as refused:
        assert (refused.status, refused.reason) == (403, HttpReason.CROSS_SITE)
        return False
    return True


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_read_counts_if_our_page_makes_it_or_the_person_typed_the_address(method: str) -> None:
    for site in ("same-origin", "none"):
        assert may(method, HEADERS | {"sec-fetch-site": site})
    for site in ("same-site", "cross-site", "", "SAME-ORIGIN", "same-origin, none"):
        assert not may(method, HEADERS | {"sec-fetch-site": site})
    assert not may(method, HEADERS | {"sec-fetch-site": "cross-site"}, ("sec-fetch-site", "same-origin"))


def test_a_browser_that_does_not_say_the_site_of_a_read_names_the_page() -> None:
    assert may("GET", HEADERS | {"referer": f"{ORIGIN}/jobs"})
    assert may("GET", HEADERS | {"referer": f"http://{HOST}/"}, secure=False)
    assert not may("GET", HEADERS)
    for referer in (
        f"http://{HOST}/",
        "https://evil.example/",
        f"https://evil.example/?{ORIGIN}/",
        f"https://{HOST}.evil.example/",
        f"https://{HOST}@evil.example/",
        f"https://evil@{HOST}/",
        f"//{HOST}/",
        "null",
        "https://[",
    ):
        assert not may("GET", HEADERS | {"referer": referer}), referer


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "get", "PROPFIND"])
def test_each_other_method_needs_our_origin_and_the_header_of_our_page(method: str) -> None:
    assert may(method, POST)
    old = dict(POST)
    del old["sec-fetch-site"]
    assert may(method, old), "an old browser sends the origin too"
    for name in ("origin", "i2v-page"):
        without = dict(POST)
        del without[name]
        assert not may(method, without), name
    for site in ("same-site", "cross-site", "none"):
        assert not may(method, POST | {"sec-fetch-site": site})
    assert not may(method, POST | {"i2v-page": "0"})
    assert not may(method, POST, ("i2v-page", "1"))


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "",
        "https://evil.example",
        f"http://{HOST}",
        f"{ORIGIN}:8443",
        f"https://{HOST}.evil.example",
        ORIGIN + ".",
    ],
)
def test_an_origin_that_is_not_ours_is_refused_for_pages_and_forms(origin: str) -> None:
    assert not may("POST", POST | {"origin": origin})
    with pytest.raises(RefusedRequest):
        demand_own_form(request("POST", POST | {"origin": origin}), secure=True)


def test_two_origins_or_two_hosts_are_refused() -> None:
    assert not may("POST", POST, ("origin", ORIGIN))
    assert not may("POST", POST, ("host", HOST))
    assert not may("POST", POST | {"origin": "https://evil.example"}, ("host", "evil.example"))


def test_without_tls_our_page_may_have_either_scheme() -> None:
    for scheme in ("http", "https"):
        assert may("POST", POST | {"origin": f"{scheme}://{HOST}"}, secure=False)
    assert not may("POST", POST | {"origin": f"ftp://{HOST}"}, secure=False)


def test_a_form_needs_no_header_of_ours() -> None:
    demand_own_form(request("POST", HEADERS | {"origin": ORIGIN, "sec-fetch-site": "same-origin"}), secure=True)
    with pytest.raises(RefusedRequest):
        demand_own_form(request("POST", HEADERS | {"origin": ORIGIN, "sec-fetch-site": "cross-site"}), secure=True)
