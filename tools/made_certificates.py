"""Certificates for tests and runs on one machine: of their own authority, or self-signed."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from services.certificates.certificate_files import NO_FILE, CertificateFiles, CertificateMeter, NamedFile

DAY = timedelta(days=1)


def a_certificate(folder: Path, name: str = "localhost", end: datetime | None = None) -> tuple[Path, Path]:
    """Returns the files of a self-signed certificate for this host name, and of its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _builder(name, _named(name), key, end, authority=True).sign(key, hashes.SHA256())
    return _written(folder, certificate, key)


@dataclass(frozen=True, slots=True)
class Authority:
    """An authority that issues certificates."""

    folder: Path
    name: str = "test authority"
    _key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    def file(self) -> Path:
        """Returns the file of its own certificate."""
        made = _builder(self.name, _named(self.name), self._key, None, authority=True).sign(self._key, hashes.SHA256())
        return _written(self.folder / "authority", made, self._key)[0]

    def issue(self, folder: Path, name: str = "localhost", end: datetime | None = None) -> tuple[Path, Path]:
        """Returns the files of a certificate for this host name, and of its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(name, _named(self.name), key, end, authority=False)
        return _written(folder, builder.sign(self._key, hashes.SHA256()), key)


def replace(pair: tuple[Path, Path], new: tuple[Path, Path]) -> None:
    """Replaces a certificate and its key, as a kubelet does: each file at once."""
    for old, made in zip(pair, new, strict=True):
        made.replace(old)


def server_files(
    cert: Path, key: Path, ca: Path | None = None, meter: CertificateMeter | None = None
) -> CertificateFiles:
    """The files of a server; with `ca` its clients need a certificate of that authority."""
    named = NamedFile("CA_FILE", str(ca)) if ca is not None else NO_FILE
    cert_file, key_file = NamedFile("CERT_FILE", str(cert)), NamedFile("KEY_FILE", str(key))
    return CertificateFiles("server", cert=cert_file, key=key_file, ca=named, meter=meter)


def client_files(
    ca: Path, pair: tuple[Path, Path] | None = None, meter: CertificateMeter | None = None
) -> CertificateFiles:
    """The files of a client: whom it trusts, and the certificate that it shows with its key."""
    named = NamedFile("CA_FILE", str(ca))
    if pair is None:
        return CertificateFiles("client", ca=named, meter=meter)
    cert_file, key_file = NamedFile("CERT_FILE", str(pair[0])), NamedFile("KEY_FILE", str(pair[1]))
    return CertificateFiles("client", cert=cert_file, key=key_file, ca=named, meter=meter)


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _builder(
    name: str, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, end: datetime | None, *, authority: bool
) -> x509.CertificateBuilder:
    until = end or datetime.now(UTC) + 2 * DAY
    builder = x509.CertificateBuilder().subject_name(_named(name)).issuer_name(issuer).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(until - 9 * DAY).not_valid_after(until)
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name.replace(" ", "-"))]), critical=False)
    return builder.add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)


def _written(folder: Path, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> tuple[Path, Path]:
    folder.mkdir(parents=True, exist_ok=True)
    cert_file, key_file = folder / "cert.pem", folder / "key.pem"
    cert_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    pem = serialization.PrivateFormat.PKCS8
    key_file.write_bytes(key.private_bytes(serialization.Encoding.PEM, pem, serialization.NoEncryption()))
    return cert_file, key_file
