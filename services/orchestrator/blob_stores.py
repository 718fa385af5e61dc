"""Opens the blob store that the settings name."""

from services.orchestrator.blobs.local import LocalBlobs
from services.orchestrator.blobs.minio import MinioBlobs
from services.orchestrator.blobs.s3_bucket import S3Bucket, encryption
from services.orchestrator.ports.blobs import Blobs
from services.orchestrator.settings import Settings


def open_blobs(settings: Settings) -> Blobs:
    """Returns the store; the caller closes it."""
    if settings.blobs == "local":
        return LocalBlobs(settings.data / "blobs")
    bucket = S3Bucket(
        settings.s3_endpoint,
        settings.s3_access_key.get_secret_value(),
        settings.s3_secret_key.get_secret_value(),
        settings.s3_bucket,
        region=settings.s3_region,
        secure=settings.s3_secure,
        ca_file=settings.s3_ca_file,
        public_url=settings.s3_public_url,
        encryption=encryption(settings.s3_encryption, settings.s3_kms_key),
    )
    return MinioBlobs(bucket)
