"""Where a bucket is, how it is reached, and how what is stored in it is encrypted."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

import certifi
import urllib3
from minio import Minio
from minio.credentials.credentials import Credentials
from minio.credentials.providers import Provider
from minio.sse import Sse, SseKMS, SseS3

CONNECT_TIMEOUT_S = 2.0
#: Silence of the store, not the length of a transfer.
READ_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class S3Bucket:
    """One bucket of an S3-compatible store, and the credentials for it."""

    endpoint: str
    """`host:port`."""
    access_key: str
    secret_key: str = field(repr=False)
    name: str
    region: str = "us-east-1"
    secure: bool = False
    ca_file: str = ""
    """The certificate authorities of the store, PEM; empty: those of the package certifi."""
    public_url: str = ""
    """`https://host:port` under which clients reach the store, if they use another address than this process."""
    encryption: Sse | None = None
    """How the store encrypts what it stores; None: as the bucket says."""
    renewed: Callable[[], tuple[str, str]] | None = field(default=None, repr=False)
    """Returns the newest access key and secret key; None: they never change."""

    @property
    def where(self) -> str:
        """The store and the bucket, for messages."""
        return f"{self.endpoint}/{self.name}"

    def http(self, connections: int) -> urllib3.PoolManager:
        """Returns an HTTP client that keeps this many connections. The caller clears it."""
        return urllib3.PoolManager(
            timeout=urllib3.Timeout(connect=CONNECT_TIMEOUT_S, read=READ_TIMEOUT_S),
            # Every request to the store can be repeated; a kept connection that the store has closed is normal.
            retries=urllib3.Retry(total=1, redirect=0, allowed_methods=None, respect_retry_after_header=False),
            maxsize=connections,
            cert_reqs="CERT_REQUIRED",
            ca_certs=self.ca_file or certifi.where(),
        )

    def client(self, http: urllib3.PoolManager) -> Minio:
        """Returns an S3 client over an HTTP client."""
        return Minio(
            self.endpoint,
            credentials=_NewestCredentials(self),
            secure=self.secure,
            region=self.region,
            http_client=http,
        )

    def seen_by_clients(self) -> "S3Bucket":
        """Returns the same bucket at the address under which clients reach it."""
        if not self.public_url:
            return self
        parts = urlsplit(self.public_url)
        return replace(self, endpoint=parts.netloc, secure=parts.scheme == "https")


class _NewestCredentials(Provider):
    """The credentials of a bucket, requested for each request."""

    def __init__(self, bucket: S3Bucket) -> None:
        self._bucket = bucket

    def retrieve(self) -> Credentials:
        """Returns the credentials."""
        renewed = self._bucket.renewed
        return Credentials(*(renewed() if renewed is not None else (self._bucket.access_key, self._bucket.secret_key)))


def encryption(kind: str, kms_key: str) -> Sse | None:
    """Returns the encryption of a kind: `none`, `sse-s3`, or `sse-kms` with the id of a key."""
    if kind == "sse-kms":
        return SseKMS(kms_key, {})
    return SseS3() if kind == "sse-s3" else None
