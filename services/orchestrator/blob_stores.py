"""Opens the blob stores that the settings name."""

from collections.abc import Callable
from pathlib import Path

from pydantic import SecretStr

from services.live_secret import LiveSecret
from services.orchestrator.blobs.local import LocalBlobs
from services.orchestrator.blobs.minio import MinioBlobs
from services.orchestrator.blobs.moving import MovingBlobs
from services.orchestrator.blobs.s3_bucket import S3Bucket, encryption
from services.orchestrator.ports.blobs import Blobs
from services.orchestrator.settings import Settings
from services.settings import BadSetting


def open_blobs(settings: Settings) -> Blobs:
    """Returns the store, or the two stores between which blobs are moved; the caller closes them. Raises BadSetting."""
    bucket = bucket_of(settings)
    new: Blobs = LocalBlobs(_folder(settings, settings.blobs_folder)) if bucket is None else MinioBlobs(bucket)
    if settings.blobs_old == "none":
        return new
    if settings.blobs_old == "local":
        old = LocalBlobs(_folder(settings, settings.blobs_old_folder))
        if any(folder.root.resolve() == old.root.resolve() for folder in folders_in(new)):
            raise BadSetting("I2V_BLOBS_OLD_FOLDER is the folder of I2V_BLOBS")
        return MovingBlobs(new, old)
    return MovingBlobs(new, MinioBlobs(_old_bucket(settings)))


def bucket_of(settings: Settings) -> S3Bucket | None:
    """Returns the bucket that is written to; None: it is a folder."""
    if settings.blobs == "local":
        return None
    keys = _newest_keys(
        "I2V_S3",
        settings.s3_access_key,
        settings.s3_access_key_file,
        settings.s3_secret_key,
        settings.s3_secret_key_file,
    )
    return S3Bucket(
        settings.s3_endpoint,
        *keys(),
        settings.s3_bucket,
        region=settings.s3_region,
        secure=settings.s3_secure,
        ca_file=settings.s3_ca_file,
        public_url=settings.s3_public_url,
        encryption=encryption(settings.s3_encryption, settings.s3_kms_key),
        renewed=keys,
    )


def folders_in(blobs: Blobs) -> list[LocalBlobs]:
    """Returns the folders that a store consists of: none for S3; two if blobs are moved from one to another."""
    if isinstance(blobs, MovingBlobs):
        return [*folders_in(blobs.new), *folders_in(blobs.old)]
    return [blobs] if isinstance(blobs, LocalBlobs) else []


def _old_bucket(settings: Settings) -> S3Bucket:
    keys = _newest_keys(
        "I2V_BLOBS_OLD_S3",
        settings.blobs_old_s3_access_key,
        settings.blobs_old_s3_access_key_file,
        settings.blobs_old_s3_secret_key,
        settings.blobs_old_s3_secret_key_file,
    )
    return S3Bucket(
        settings.blobs_old_s3_endpoint,
        *keys(),
        settings.blobs_old_s3_bucket,
        region=settings.blobs_old_s3_region,
        secure=settings.blobs_old_s3_secure,
        ca_file=settings.blobs_old_s3_ca_file,
        public_url=settings.blobs_old_s3_public_url,
        renewed=keys,
    )


def _folder(settings: Settings, given: str) -> Path:
    """Returns the folder that is given, or the usual one."""
    return Path(given) if given else settings.data / "blobs"


def _newest_keys(
    name: str, access: SecretStr, access_file: str, secret: SecretStr, secret_file: str
) -> Callable[[], tuple[str, str]]:
    """Returns what returns the newest access key and secret key of a store."""
    access_key = LiveSecret(f"{name}_ACCESS_KEY_FILE", access_file, access.get_secret_value())
    secret_key = LiveSecret(f"{name}_SECRET_KEY_FILE", secret_file, secret.get_secret_value())
    return lambda: (access_key.text(), secret_key.text())
