"""A provider's settings."""

from pathlib import Path

import pytest

from services.providers.settings import Settings
from services.settings import BadSetting

P = "I2V_PROVIDER_WAVESPEED_"


def read(**variables: str) -> Settings:
    return Settings.from_environment("wavespeed", {P + name: value for name, value in variables.items()})


def test_without_any_variable_the_defaults_hold() -> None:
    assert read() == Settings()


def test_another_vendors_variables_are_ignored() -> None:
    environment = {"I2V_PROVIDER_FAL_NONSENSE": "1", "I2V_LISTEN": "x", P + "KEY": "good-key"}
    assert Settings.from_environment("wavespeed", environment).key.get_secret_value() == "good-key"


@pytest.mark.parametrize("name", ["KEY", "ACCESS_KEY", "WEBHOOK_SECRET"])
def test_a_secret_may_be_in_a_file(tmp_path: Path, name: str) -> None:
    file = tmp_path / "secret"
    file.write_text("from-a-file\n")
    settings = read(**{f"{name}_FILE": str(file)})
    assert getattr(settings, name.lower()).get_secret_value() == "from-a-file"
    assert "from-a-file" not in repr(settings)
    with pytest.raises(BadSetting, match="give one of them"):
        read(**{f"{name}_FILE": str(file), name: "x"})
    with pytest.raises(BadSetting, match="cannot be read"):
        read(**{f"{name}_FILE": str(tmp_path / "nowhere")})
    file.write_text(" \n")
    with pytest.raises(BadSetting, match=f"{P}{name}_FILE.* is empty"):
        read(**{f"{name}_FILE": str(file)})


@pytest.mark.parametrize("address", ["0.0.0.0:50061", "[::]:50061", "10.0.0.7:50061", "provider:50061", "unix:50061"])
def test_a_provider_that_others_can_reach_requires_a_key(address: str) -> None:
    with pytest.raises(BadSetting, match=f"{P}ACCESS_KEY is needed"):
        read(LISTEN=address)
    assert read(LISTEN=address, ACCESS_KEY="what-the-orchestrator-shows").listen == address


@pytest.mark.parametrize("address", ["127.0.0.1:50061", "localhost:50061", "[::1]:50061"])
def test_a_provider_on_a_loopback_address_requires_no_key(address: str) -> None:
    assert not read(LISTEN=address).access_key


@pytest.mark.parametrize(
    "variables",
    [
        {"NONSENSE": "1"},
        {"LISTEN": "50061"},
        {"METRICS_LISTEN": ""},
        {"WEBHOOK_LISTEN": "8080"},
        {"WEBHOOK_LISTEN": "127.0.0.1:8080"},
        {"WEBHOOK_URL": "https://hooks.example"},
        {"URL": "api.example"},
        {"URL": "ftp://api.example"},
        {"URL": "http://[::1"},
        {"SIMULATION": "true"},
        {"SIMULATION": "perhaps"},
        {"WATCH_S": "0"},
        {"WATCH_S": "nan"},
        {"INLINE_BYTES": "-1"},
        {"OUTPUT_BYTES": "1.5"},
        {"KEY": "two words"},
        {"KEY": "line\nbreak"},
        {"TLS_CERT_FILE": "cert.pem"},
    ],
)
def test_an_invalid_setting_is_named_and_a_secret_is_not_shown(variables: dict[str, str]) -> None:
    with pytest.raises(BadSetting) as caught:
        read(**variables)
    assert any(f"{P}{name}" in str(caught.value) for name in variables)
    assert "two words" not in str(caught.value)
