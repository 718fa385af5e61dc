"""The settings of the blob store."""

import re
from typing import Annotated, Literal

from pydantic import SecretStr

from services.certificates.certificate_files import CertificateFiles, CertificateMeter, NamedFile
from services.settings import BadSetting, ProcessSettings, Switch, matching, read_certificates


class BlobSettings(ProcessSettings):
    """Where the bytes are stored, and how the store is reached."""

    blobs: Literal["local", "s3"] = "local"
    """Where videos and assets are stored: `local` (a folder) or `s3`."""
    blobs_folder: str = ""
    """The folder of `local`. Empty: `blobs` in the data folder."""
    s3_endpoint: str = ""
    """`host:port` of an S3-compatible store. Needed with `s3`."""
    s3_access_key: SecretStr = SecretStr("")
    """Access key. Needed with `s3`."""
    s3_access_key_file: str = ""
    """A file that holds the access key instead."""
    s3_secret_key: SecretStr = SecretStr("")
    """Secret key. Needed with `s3`."""
    s3_secret_key_file: str = ""
    """A file that holds the secret key instead."""
    s3_bucket: str = "i2v"
    """Bucket; it is created if it does not exist."""
    s3_region: str = "us-east-1"
    """Region of the bucket."""
    s3_secure: Switch = True
    """Whether the store is reached by TLS."""
    s3_ca_file: str = ""
    """The certificate authorities of the store, PEM. Empty: those of the package certifi."""
    s3_encryption: Literal["none", "sse-s3", "sse-kms"] = "none"
    """How the store encrypts what is written: `sse-s3` with its own keys, `sse-kms` with a key of its key service;
    `none` leaves it to the bucket's default. What is stored already stays as it is."""
    s3_kms_key: Annotated[str, matching(r"[!-~]{0,2048}", "printable ASCII without spaces")] = ""
    """The id of the key. Needed with `sse-kms`."""
    s3_public_url: str = ""
    """`https://host:port` under which browsers and other clients reach the store, in signed URLs and forms. Empty: the
    endpoint; then clients must be able to reach it."""
    blobs_old: Literal["none", "local", "s3"] = "none"
    """A second store, from which `i2v admin blobs copy` moves everything to the first one: what the first one does not
    have is read there; see [operations.md](operations.md#moving-to-another-store). `none`: there is none."""
    blobs_old_folder: str = ""
    """The folder of the second store. Empty: `blobs` in the data folder."""
    blobs_old_s3_endpoint: str = ""
    """Of the second store, like the next ones: `host:port`."""
    blobs_old_s3_access_key: SecretStr = SecretStr("")
    """Access key."""
    blobs_old_s3_access_key_file: str = ""
    """A file that holds that access key instead."""
    blobs_old_s3_secret_key: SecretStr = SecretStr("")
    """Secret key."""
    blobs_old_s3_secret_key_file: str = ""
    """A file that holds that secret key instead."""
    blobs_old_s3_bucket: str = "i2v"
    """The bucket."""
    blobs_old_s3_region: str = "us-east-1"
    """Region of the bucket."""
    blobs_old_s3_secure: Switch = True
    """Whether the store is reached by TLS."""
    blobs_old_s3_ca_file: str = ""
    """The certificate authorities of the store, PEM. Empty: those of the package certifi."""
    blobs_old_s3_public_url: str = ""
    """`https://host:port` in signed URLs. Empty: the endpoint."""

    def check(self, prefix: str) -> None:
        """Raises BadSetting for values that do not go together."""
        super().check(prefix)
        if self.blobs == "s3" and not (self.s3_endpoint and self.s3_access_key and self.s3_secret_key):
            raise BadSetting("I2V_BLOBS=s3 needs I2V_S3_ENDPOINT, I2V_S3_ACCESS_KEY and I2V_S3_SECRET_KEY")
        self.s3_authorities()
        if (self.s3_encryption == "sse-kms") != bool(self.s3_kms_key):
            raise BadSetting("I2V_S3_ENCRYPTION=sse-kms and I2V_S3_KMS_KEY go together")
        if self.s3_encryption == "sse-kms" and not self.s3_secure:
            raise BadSetting("I2V_S3_ENCRYPTION=sse-kms needs TLS: I2V_S3_SECURE=true")
        _check_address("I2V_S3", self.s3_public_url)
        if self.blobs_old != "none":
            self._check_old()

    def _check_old(self) -> None:
        name = "I2V_BLOBS_OLD_S3"
        given = (self.blobs_old_s3_endpoint, self.blobs_old_s3_access_key, self.blobs_old_s3_secret_key)
        if self.blobs_old == "s3" and not all(given):
            raise BadSetting(f"I2V_BLOBS_OLD=s3 needs {name}_ENDPOINT, {name}_ACCESS_KEY and {name}_SECRET_KEY")
        _check_address(name, self.blobs_old_s3_public_url)
        if self.blobs_old == self.blobs and (
            self.blobs_folder == self.blobs_old_folder
            if self.blobs == "local"
            else (self.s3_endpoint, self.s3_bucket) == (self.blobs_old_s3_endpoint, self.blobs_old_s3_bucket)
        ):
            raise BadSetting("I2V_BLOBS_OLD names the same store as I2V_BLOBS")

    def s3_authorities(self, meter: CertificateMeter | None = None) -> list[CertificateFiles]:
        """Reads the certificate authorities of the stores; none: those of the package certifi. Raises BadSetting."""
        named = (
            NamedFile("I2V_S3_CA_FILE", self.s3_ca_file),
            NamedFile("I2V_BLOBS_OLD_S3_CA_FILE", self.blobs_old_s3_ca_file),
        )
        return [read_certificates("client", ca=each, meter=meter) for each in named if each.path]


def _check_address(name: str, public_url: str) -> None:
    if public_url and not re.fullmatch(r"https?://[^\s/?#@]+", public_url):
        raise BadSetting(f"{name}_PUBLIC_URL is `https://host` or `https://host:port`, without a path or a user")
