"""The settings of the programs of remote models: which vendors there are, and which program gets which key."""

import os

import pytest

from tools import stack_vendors

SECRETS = {
    "WAVESPEED_API_KEY": "ws-secret",
    "FAL_KEY": "fal-secret",
    "I2V_PROVIDER_FAL_KEY": "own-secret",
    "I2V_PROMPT_LLM_KEY": "llm-secret",
}


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in stack_vendors.KEYS.values():
        monkeypatch.delenv(name, raising=False)


def test_a_vendor_is_started_if_its_key_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    assert stack_vendors.keys() == {}
    monkeypatch.setenv("WAVESPEED_API_KEY", "usual")
    assert stack_vendors.keys() == {"wavespeed": "usual"}
    monkeypatch.setenv("I2V_PROVIDER_WAVESPEED_KEY", "own")
    assert stack_vendors.keys() == {"wavespeed": "own"}
    monkeypatch.setenv("I2V_PROVIDER_WAVESPEED_KEY_FILE", "/run/secrets/key")
    assert stack_vendors.keys() == {"wavespeed": ""}


def test_no_program_sees_the_key_of_another(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, secret in SECRETS.items():
        monkeypatch.setenv(name, secret)
    assert not set(SECRETS.values()) & set(stack_vendors.without_keys().values())
    assert stack_vendors.without_keys().keys() <= os.environ.keys()


@pytest.mark.parametrize(
    ("names", "limits", "wanted"),
    [
        (["wavespeed", "fal"], None, "wavespeed=3/5"),
        (["fal"], None, ""),
        (["wavespeed"], "wavespeed=60/60", "wavespeed=60/60"),
    ],
)
def test_a_real_account_has_the_smallest_limits_unless_others_are_set(
    monkeypatch: pytest.MonkeyPatch, names: list[str], limits: str | None, wanted: str
) -> None:
    if limits is not None:
        monkeypatch.setenv("I2V_PROVIDER_LIMITS", limits)
    assert stack_vendors.limits(names) == wanted
