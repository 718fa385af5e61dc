"""Certificates for manifests: the development one is shared, and the operators' is checked before it signs."""

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from services.orchestrator.media.signing_certificate import (
    SigningCertificate,
    UnusableCertificate,
    development,
    from_pem,
    identities,
)

MADE = development(b"a" * 32)


def key_of(certificate: SigningCertificate) -> bytes:
    return pem(certificate.key)


def pem(key: object) -> bytes:
    plain = serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)  # type: ignore[attr-defined, no-any-return]


def test_all_processes_of_a_database_make_the_same_development_certificate() -> None:
    assert development(b"a" * 32).pem() == MADE.pem()
    other = development(b"b" * 32)
    assert (other.identity.sha256, other.identity.serial) != (MADE.identity.sha256, MADE.identity.serial)


def test_a_development_certificate_is_named_as_such() -> None:
    assert "development" in MADE.identity.name and MADE.identity.development


def test_a_given_certificate_is_not_one_of_development() -> None:
    given = from_pem(key_of(MADE), MADE.pem().encode())
    assert (given.identity.sha256, given.identity.development) == (MADE.identity.sha256, False)


@pytest.mark.parametrize(
    ("key", "chain", "why"),
    [
        (b"no key", MADE.pem().encode(), "no key, or no chain"),
        (key_of(MADE), b"no chain", "no key, or no chain"),
        (key_of(development(b"b" * 32)), MADE.pem().encode(), "not that of the key"),
        (key_of(MADE), MADE.pem().encode().split(b"-----BEGIN")[1].join([b"-----BEGIN", b""]), "only one certificate"),
        (pem(rsa.generate_private_key(65537, 2048)), MADE.pem().encode(), "none of EC P-256"),
    ],
)
def test_what_cannot_sign_is_refused_with_its_reason(key: bytes, chain: bytes, why: str) -> None:
    with pytest.raises(UnusableCertificate, match=why):
        from_pem(key, chain)


def test_earlier_certificates_need_their_authorities() -> None:
    leaf = MADE.pem().split("-----END CERTIFICATE-----\n")[0] + "-----END CERTIFICATE-----\n"
    assert [each.serial for each in identities(MADE.pem().encode())] == [MADE.identity.serial]
    with pytest.raises(UnusableCertificate, match="authority"):
        identities(leaf.encode())
