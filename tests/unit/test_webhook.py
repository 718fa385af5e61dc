"""Webhooks that are genuine, and those that are not."""

import pytest

from services.providers.webhook import is_genuine, signature

BODY = b'{"id":"task-1"}'
NOW = 1_800_000_000


def headers(**changes: str) -> dict[str, str]:
    given = {"webhook-id": "hook-1", "webhook-timestamp": str(NOW)}
    given |= {name.replace("_", "-"): value for name, value in changes.items()}
    signed = signature("secret", given["webhook-id"], given["webhook-timestamp"], BODY)
    return {"webhook-signature": signed, **given}


def test_a_signature_is_of_id_time_and_body() -> None:
    # From `openssl dgst -sha256 -hmac secret` over `hook-1.1800000000.{"id":"task-1"}`.
    expected = "v3,e4bac4abb2cfe0c33b1c13e2320dabcb1c6516821c7435e25b70a68177c8b5a4"
    assert signature("secret", "hook-1", "1800000000", BODY) == expected
    assert signature("whsec_secret", "hook-1", "1800000000", BODY) == expected


@pytest.mark.parametrize("age_s", [0, 300, -300])
def test_what_is_signed_and_fresh_is_genuine(age_s: int) -> None:
    assert is_genuine("secret", headers(), BODY, NOW + age_s)
    assert is_genuine("secret", headers() | {"webhook-signature": "v3,00 " + headers()["webhook-signature"]}, BODY, NOW)


@pytest.mark.parametrize("age_s", [301, -301])
def test_what_is_old_or_from_the_future_is_not(age_s: int) -> None:
    assert not is_genuine("secret", headers(), BODY, NOW + age_s)


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"webhook-signature": ""},
        {"webhook-signature": "v3,"},
        {"webhook-signature": "v3,é"},
        headers() | {"webhook-id": "hook-2"},
        headers() | {"webhook-id": ""},
        headers() | {"webhook-id": "x" * 257},
        headers() | {"webhook-timestamp": str(NOW + 1)},
        headers() | {"webhook-timestamp": "soon"},
        headers() | {"webhook-timestamp": "9" * 13},
        headers() | {"webhook-timestamp": "١"},
        headers() | {"webhook-signature": headers()["webhook-signature"].replace("v3,", "v1,")},
    ],
)
def test_what_is_not_signed_as_it_stands_is_not_genuine(changed: dict[str, str]) -> None:
    assert not is_genuine("secret", changed, BODY, NOW)


def test_another_body_or_secret_or_none_is_not_genuine() -> None:
    assert not is_genuine("secret", headers(), BODY + b" ", NOW)
    assert not is_genuine("another", headers(), BODY, NOW)
    assert not is_genuine("", headers(), BODY, NOW)
