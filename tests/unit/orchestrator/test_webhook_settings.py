import pytest

from services.orchestrator.settings import Settings
from services.settings import BadSetting


def hosts(text: str) -> tuple[str, ...]:
    return Settings.from_environment({"I2V_WEBHOOK_PRIVATE_HOSTS": text}).webhook_hosts()


def test_a_list_of_private_hosts_has_names_and_addresses_with_or_without_ports() -> None:
    assert hosts("") == ()
    found = hosts("Backend.corp.example, 10.1.2.3:8443,localhost , [fd00::1]:443,fd00::2")
    assert found == ("backend.corp.example", "10.1.2.3:8443", "localhost", "fd00::1:443", "fd00::2")


@pytest.mark.parametrize("text", ["*.corp", "a b", "http://10.0.0.1", ",", "a,,b", "a/", "[::1", "user@host"])
def test_a_list_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(BadSetting, match="I2V_WEBHOOK_PRIVATE_HOSTS cannot be"):
        hosts(text)


@pytest.mark.parametrize(("name", "value"), [("TIMEOUT_S", "0"), ("TIMEOUT_S", "61"), ("SENDS", "1")])
def test_numbers_have_bounds(name: str, value: str) -> None:
    with pytest.raises(BadSetting, match=f"I2V_WEBHOOK_{name}"):
        Settings.from_environment({f"I2V_WEBHOOK_{name}": value})
