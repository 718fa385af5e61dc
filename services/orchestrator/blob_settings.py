"""The settings of the blob store."""

from typing import Annotated, Literal

from pydantic import SecretStr

from services.settings import BadSetting, ProcessSettings, Switch, matching

Url = Annotated[str, matching(r"(https?://[^\s/?#@]+)?", "`https://host` or `https://host:port`")]


class BlobSettings(ProcessSettings):
    """Where the bytes are stored, and how the store is reached."""

    blobs: Literal["local", "s3"] = "local"
    """Where videos and assets are stored: `local` (under the data folder) or `s3`."""
    s3_endpoint: str = ""
    """`host:port` of an S3-compatible store. Needed with `s3`."""
    s3_access_key: SecretStr = SecretStr("")
    """Access key. Needed with `s3`."""
    s3_secret_key: SecretStr = SecretStr("")
    """Secret key. Needed with `s3`."""
    s3_bucket: str = "i2v"
    """Bucket; it is created if it does not exist."""
    s3_region: str = "us-east-1"
    """Region of the bucket."""
    s3_secure: Switch = True
    """Whether the store is reached by TLS, with the authorities of the package certifi."""
    s3_public_url: Url = ""
    """`https://host:port` under which browsers and other clients reach the store, in signed URLs and forms. Empty: the
    endpoint; then clients must be able to reach it."""

    def check(self, prefix: str) -> None:
        """Raises BadSetting for values that do not go together."""
        super().check(prefix)
        if self.blobs == "s3" and not (self.s3_endpoint and self.s3_access_key and self.s3_secret_key):
            raise BadSetting("I2V_BLOBS=s3 needs I2V_S3_ENDPOINT, I2V_S3_ACCESS_KEY and I2V_S3_SECRET_KEY")
