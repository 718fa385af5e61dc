"""Where a provider may connect to."""

from ipaddress import ip_address
from random import Random

import httpx
import pytest

from services.outbound.destinations import Destinations, NotAllowed
from services.outbound.public_addresses import is_public_address

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
def test_a_listed_name_is_allowed(url: str) -> None:
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
def test_an_unlisted_name_is_refused(url: str) -> None:
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
        # From the special-purpose registries, even those that are globally reachable:
        "192.0.0.8",  # dummy address
        "192.0.0.9",  # anycast of PCP
        "192.0.0.170",  # NAT64 discovery
        "192.0.2.1",
        "192.31.196.1",  # AS112
        "192.52.193.1",  # AMT
        "192.88.99.1",  # relays of 6to4
        "192.175.48.1",  # AS112
        "198.18.0.1",
        "198.19.255.255",
        "198.51.100.1",
        "203.0.113.1",
        "240.0.0.1",
        "64:ff9b::c058:6301",  # 192.88.99.1 behind NAT64
        "::ffff:192.0.0.8",
        "100::1",  # discard
        "100:0:0:1::1",
        "2001::1",  # Teredo
        "2001:1::1",
        "2001:2::1",  # benchmarks
        "2001:3::1",  # AMT
        "2001:4:112::1",  # AS112
        "2001:10::1",  # ORCHID
        "2001:20::1",  # ORCHIDv2
        "2001:30::1",  # drones
        "2001:1ff:ffff::1",
        "2002:808:808::1",  # 6to4, of a public address too
        "2620:4f:8000::1",  # AS112
        "3fff::1",  # documentation
        "3fff:fff::1",
        "5f00::1",  # segment routing
    ],
)
def test_an_address_of_our_own_network_is_not_public(address: str) -> None:
    assert not is_public_address(address)


@pytest.mark.parametrize(
    "address",
    [
        *("8.8.8.8", "192.0.1.1", "192.88.98.1", "198.17.255.255", "198.20.0.1", "223.255.255.255"),
        *("2606:4700::1111", "2001:200::1", "2001:4860:4860::8888", "2620:4f:8001::1", "2400::1"),
        *("::ffff:8.8.8.8", "64:ff9b::808:808"),
    ],
)
def test_an_address_of_the_internet_is_public(address: str) -> None:
    assert is_public_address(address)


def test_what_the_library_knows_to_be_special_is_never_public() -> None:
    random = Random(7)
    addresses = [ip_address(random.getrandbits(32)) for _ in range(20_000)]
    addresses += [ip_address(0x2 << 124 | random.getrandbits(125)) for _ in range(20_000)]
    assert not [
        each for each in addresses if is_public_address(str(each)) and (not each.is_global or each.is_multicast)
    ]
    assert sum(is_public_address(str(each)) for each in addresses) > 30_000


async def test_a_listed_name_with_a_private_address_is_refused() -> None:
    with pytest.raises(NotAllowed):
        await Destinations(["localhost"]).addresses(httpx.URL("https://localhost/x"))


async def test_a_listed_address_is_allowed() -> None:
    assert await LISTED.addresses(httpx.URL("http://127.0.0.1:8601/x")) == ["127.0.0.1"]
