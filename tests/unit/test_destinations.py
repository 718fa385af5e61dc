"""Where a provider may connect to."""

import httpx
import pytest

from services.providers.destinations import Destinations, NotAllowed, _is_public

LISTED = Destinations(["api.example", "*.cdn.example", "127.0.0.1:8601", "[::1]", "::1"])


@pytest.mark.parametrize(
    "url",
    [
        "https://api.example/x",
        "https://API.example./x",
        "https://api.example:8443/x",
        "https://a.cdn.example/x",
        "https://a.b.cdn.example/x",
        "http://127.0.0.1:8601/x",
        "https://127.0.0.1:8601/x",
        "http://[::1]/x",
    ],
)
def test_what_is_listed_is_allowed(url: str) -> None:
    LISTED.check(httpx.URL(url))


@pytest.mark.parametrize(
    "url",
    [
        "https://cdn.example/x",
        "https://evilcdn.example/x",
        "https://api.example.evil/x",
        "http://api.example/x",
        "https://user@api.example/x",
        "https://api.example@evil.example/x",
        "http://127.0.0.1/x",
        "http://127.0.0.1:8602/x",
        "http://127.0.0.2:8601/x",
        "http://0x7f000001:8601/x",
        "http://localhost:8601/x",
        "ftp://api.example/x",
        "file:///etc/passwd",
        "https:///x",
    ],
)
def test_nothing_else_is(url: str) -> None:
    with pytest.raises(NotAllowed):
        LISTED.check(httpx.URL(url))


@pytest.mark.parametrize(
    "address",
    [
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "127.0.0.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1%eth0",
        "fc00::1",
        "ff02::1",
        "::ffff:10.0.0.1",
        "64:ff9b::a00:1",
        "2002:a00:1::",
        "::127.0.0.1",
        "::8.8.8.8",
        "fec0::1",
        "64:ff9b:1::a00:1",
        "::ffff:0:a00:1",
        "::ffff:0:808:808",
        "4000::1",
        "2001:0:a00:1::1",
        "2001:db8::1",
        "nonsense",
    ],
)
def test_an_address_of_our_own_network_is_not_public(address: str) -> None:
    assert not _is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_an_address_of_the_internet_is(address: str) -> None:
    assert _is_public(address)


async def test_a_listed_name_that_leads_into_our_network_is_refused() -> None:
    with pytest.raises(NotAllowed):
        await Destinations(["localhost"]).addresses(httpx.URL("https://localhost/x"))


async def test_a_listed_address_stands_for_itself() -> None:
    assert await LISTED.addresses(httpx.URL("http://127.0.0.1:8601/x")) == ["127.0.0.1"]
