"""What is in a PEM file: whether a certificate and a key belong together, and until when certificates are valid."""

from datetime import UTC, datetime


def demand_pair(chain: bytes, key: bytes) -> None:
    """Raises ValueError unless the key, without a password, is that of the chain's first certificate."""
    # Here and below: most processes on one machine have no certificate, and cryptography takes a while to import.
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
    from cryptography.x509 import load_pem_x509_certificate

    try:
        private = load_pem_private_key(key, password=None)
    except TypeError:
        raise ValueError("the key has a password") from None
    except UnsupportedAlgorithm as error:
        raise ValueError(str(error)) from None
    form = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    public = load_pem_x509_certificate(chain).public_key()
    if public.public_bytes(*form) != private.public_key().public_bytes(*form):
        raise ValueError("the key is another certificate's")


def first_end(certificates: bytes) -> datetime:
    """Returns when the first of the certificates ends. Raises ValueError if there is none."""
    return min(_ends(certificates))


def next_end(certificates: bytes) -> datetime:
    """Returns the first end that is not over; the last one if all are. Raises ValueError if there is no certificate."""
    ends = _ends(certificates)
    return min((each for each in ends if not is_past(each)), default=max(ends))


def last_end(certificates: bytes) -> datetime:
    """Returns when the last of the certificates ends. Raises ValueError if there is none."""
    return max(_ends(certificates))


def is_past(time: datetime) -> bool:
    """Returns whether a time is over."""
    return time < datetime.now(UTC)  # noqa: TID251  certificates are valid by the machine's clock


def _ends(certificates: bytes) -> list[datetime]:
    from cryptography.x509 import load_pem_x509_certificates

    return [each.not_valid_after_utc for each in load_pem_x509_certificates(certificates)]
