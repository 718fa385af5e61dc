"""Where endpoints of webhooks may be, as far as their URL says it."""

import pytest

from services.errors import InvalidInput
from services.orchestrator.domain.webhook_url import CHARACTERS, demand_url, origin
from services.outbound.public_addresses import is_public_address


@pytest.mark.parametrize(
    "url",
    [
        "https://hooks.example.com",
        "https://hooks.example.com./a/b?c=d%20e&f=%7B%7D",
        "https://HOOKS.Example.com:8443/",
        "https://a_b.xn--bcher-kva.example/",
        "https://93.184.216.34/hook",
        "https://[2606:4700::1111]:443/hook",
        "https://hooks.example.com/" + "a" * (CHARACTERS - 26),
    ],
)
def test_public_hosts_over_https_are_taken(url: str) -> None:
    demand_url(url, is_public_address)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "hooks.example.com",
        "//hooks.example.com",
        "http://hooks.example.com/",
        "ftp://hooks.example.com/",
        "https:hooks.example.com",
        "https:///path",
        "https://",
        "https://hooks.example.com:0/",
        "https://hooks.example.com:/",
        "https://hooks.example.com:65536/",
        "https://hooks.example.com:x/",
        "https://user@hooks.example.com/",
        "https://user:secret@hooks.example.com/",
        "https://hooks.example.com@10.0.0.1/",
        "https://hooks.example.com/#part",
        "https://hooks.example.com/#",
        "https://hooks.example.com\\@10.0.0.1/",
        "https://hooks.example.com/a b",
        "https://hooks.example.com/\r\nHost: other",
        "https://hooks.example.com/\t",
        "https://bücher.example/",
        "https://hooks/",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://127.1/",
        "https://0177.0.0.1/",
        "https://10.0.0.1.5/",
        "https://-a.example.com/",
        "https://a..example.com/",
        "https://[::1/",
        "https://[fe80::1%25eth0]/",
        "https://hooks.example.com/" + "a" * CHARACTERS,
        "https://" + "a." * 200 + "example/",
    ],
)
def test_what_is_no_url_of_a_receiver_is_refused(url: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        demand_url(url, is_public_address)
    assert len(caught.value.message) < 200


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/",
        "https://10.1.2.3:8443/",
        "https://192.168.0.1/",
        "https://169.254.169.254/latest/meta-data",
        "https://0.0.0.0/",
        "https://[::1]/",
        "https://[::ffff:10.0.0.1]/",
        "https://[64:ff9b::a00:1]/",
        "https://[fd00::1]/",
        "https://localhost/",
        "https://hooks.localhost./",
        "https://printer.local/",
        "https://metadata.google.internal/",
    ],
)
def test_addresses_that_are_not_of_the_internet_and_names_of_local_networks_are_refused(url: str) -> None:
    with pytest.raises(InvalidInput, match="not a host of the internet"):
        demand_url(url, is_public_address)


def test_hosts_of_the_settings_may_be_private_and_without_tls() -> None:
    private = ("127.0.0.1:8080", "receiver")
    demand_url("http://127.0.0.1:8080/hook", is_public_address, private)
    demand_url("http://receiver/hook", is_public_address, private)
    demand_url("https://receiver:9/hook", is_public_address, private)
    for url in ("http://127.0.0.1:8081/", "https://127.0.0.1/", "ftp://receiver/", "http://user@receiver/"):
        with pytest.raises(InvalidInput):
            demand_url(url, is_public_address, private)


def test_logs_have_the_origin_of_a_url_alone() -> None:
    assert origin("https://hooks.example.com:8443/secret/path?token=x") == "https://hooks.example.com:8443"
    assert origin("") == ""
