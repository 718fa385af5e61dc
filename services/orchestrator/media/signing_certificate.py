"""The certificate that signs manifests: the operators' own, or a development one that all processes of a database make.

The development certificate follows from a secret of the database alone, byte for byte. So the workers of an
installation share it without a file, and it stays the same.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from services.orchestrator.domain.content_credentials import Identity

DEVELOPMENT = "i2v development certificate (not trusted)"
"""The organization in the names of development certificates."""
VALID_FROM, VALID_TO = datetime(2026, 1, 1), datetime(2056, 1, 1)
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
HASHES = {"secp256r1": ("es256", hashes.SHA256()), "secp384r1": ("es384", hashes.SHA384())}


class UnusableCertificate(Exception):
    """A key and a chain that cannot sign."""


@dataclass(frozen=True, slots=True)
class SigningCertificate:
    """A private key, and the chain of certificates that belongs to it."""

    key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
    chain: tuple[x509.Certificate, ...]
    """The leaf first, then its authorities."""
    development: bool = False

    @property
    def algorithm(self) -> str:
        """The name in C2PA: `es256`, `es384` or `ed25519`."""
        return HASHES[self.key.curve.name][0] if isinstance(self.key, ec.EllipticCurvePrivateKey) else "ed25519"

    @property
    def identity(self) -> Identity:
        """What the leaf says of its owner."""
        return identity_of(self.chain[0], development=self.development)

    def pem(self) -> str:
        """Returns the chain."""
        return "".join(each.public_bytes(serialization.Encoding.PEM).decode() for each in self.chain)

    def authorities_pem(self) -> str:
        """Returns the authorities of the chain."""
        return "".join(each.public_bytes(serialization.Encoding.PEM).decode() for each in self.chain[1:])

    def sign(self, data: bytes) -> bytes:
        """Returns the signature as COSE has it: for an elliptic curve both numbers side by side."""
        if isinstance(self.key, ed25519.Ed25519PrivateKey):
            return self.key.sign(data)
        r, s = decode_dss_signature(self.key.sign(data, ec.ECDSA(HASHES[self.key.curve.name][1])))
        size = (self.key.curve.key_size + 7) // 8
        return r.to_bytes(size, "big") + s.to_bytes(size, "big")


def from_pem(key: bytes, chain: bytes) -> SigningCertificate:
    """Returns the operators' certificate. Raises UnusableCertificate, with a sentence that names what is wrong."""
    try:
        found = serialization.load_pem_private_key(key, None)
        certificates = x509.load_pem_x509_certificates(chain)
    except (ValueError, TypeError) as error:
        raise UnusableCertificate(f"it is no key, or no chain of certificates, in PEM: {error}") from error
    curve = found.curve.name in HASHES if isinstance(found, ec.EllipticCurvePrivateKey) else False
    if not isinstance(found, ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) or not (
        curve or isinstance(found, ed25519.Ed25519PrivateKey)
    ):
        raise UnusableCertificate("the key is none of EC P-256, EC P-384 and Ed25519")
    if certificates[0].public_key() != found.public_key():
        raise UnusableCertificate("the first certificate of the chain is not that of the key")
    if len(certificates) < 2:
        raise UnusableCertificate("the chain has only one certificate: add the one of the authority that issued it")
    return SigningCertificate(found, tuple(certificates))


def development(secret: bytes) -> SigningCertificate:
    """Returns the certificate that follows from a secret of the database."""
    authority, own = _key(secret, b"authority"), _key(secret, b"leaf")
    ca_name, leaf_name = _name("i2v development authority"), _name("i2v development signer")
    root = (
        _builder(secret, b"authority", ca_name, ca_name, authority)
        .add_extension(x509.BasicConstraints(True, 0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .sign(authority, hashes.SHA256(), ecdsa_deterministic=True)
    )
    leaf = (
        _builder(secret, b"leaf", leaf_name, ca_name, own)
        .add_extension(x509.BasicConstraints(False, None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key()), critical=False)
        .sign(authority, hashes.SHA256(), ecdsa_deterministic=True)
    )
    return SigningCertificate(own, (leaf, root), development=True)


def identity_of(leaf: x509.Certificate, *, development: bool = False) -> Identity:
    """Returns what a certificate says of its owner."""
    found = [*leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    found += leaf.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    name = ", ".join(str(each.value) for each in found)
    return Identity(name, str(leaf.serial_number), leaf.fingerprint(hashes.SHA256()).hex(), development)


def identities(chain: bytes) -> list[Identity]:
    """Returns the leaves among the certificates of a PEM file. Raises UnusableCertificate."""
    try:
        found = x509.load_pem_x509_certificates(chain)
    except ValueError as error:
        raise UnusableCertificate(f"it has no certificates in PEM: {error}") from error
    names = {each.subject for each in found if _is_authority(each)}
    if any(each.issuer not in names for each in found if not _is_authority(each)):
        raise UnusableCertificate("the authority of one of the certificates is missing")
    return [identity_of(each) for each in found if not _is_authority(each)]


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def _key(secret: bytes, purpose: bytes) -> ec.EllipticCurvePrivateKey:
    number = int.from_bytes(hashlib.sha512(b"c2pa " + purpose + b" " + secret).digest(), "big")
    return ec.derive_private_key(number % (P256_ORDER - 1) + 1, ec.SECP256R1())


def _name(common_name: str) -> x509.Name:
    named = {NameOID.COMMON_NAME: common_name, NameOID.ORGANIZATION_NAME: DEVELOPMENT}
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in named.items()])


def _builder(
    secret: bytes, purpose: bytes, subject: x509.Name, issuer: x509.Name, key: CertificateIssuerPrivateKeyTypes
) -> x509.CertificateBuilder:
    serial = int.from_bytes(hashlib.sha256(b"serial " + purpose + b" " + secret).digest()[:15], "big") | 1
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(VALID_FROM)
        .not_valid_after(VALID_TO)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )
