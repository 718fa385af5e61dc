"""Signed requests that others make to an S3 store: a GET of one blob, a POST of one file. Signing sends nothing."""

from datetime import UTC, datetime, timedelta

import urllib3
from minio.datatypes import PostPolicy

from services.content_disposition import content_disposition
from services.orchestrator.blobs.s3_bucket import S3Bucket
from services.orchestrator.ports.blobs import SignedPost


class S3Signatures:
    """Signs with a bucket's credentials, for the address under which clients reach the store."""

    def __init__(self, bucket: S3Bucket, http: urllib3.PoolManager) -> None:
        self._bucket = bucket
        self._client = bucket.seen_by_clients().client(http)

    def get(self, key: str, *, expires_s: int, download_name: str, media_type: str) -> str:
        """Returns a URL that reads a blob, as a whole or a range of it, with these headers of the answer."""
        return self._client.presigned_get_object(
            self._bucket.name,
            key,
            timedelta(seconds=expires_s),
            response_headers={
                "response-content-disposition": content_disposition(download_name),
                "response-content-type": media_type,
            },
        )

    def post(self, key: str, *, most_bytes: int, expires_s: int) -> SignedPost:
        """Returns the form that stores one file of 1 to `most_bytes` bytes under a key."""
        expire_time = datetime.now(UTC) + timedelta(seconds=expires_s)  # noqa: TID251  the store compares it with its clock
        fields = {"key": key, "Content-Type": "application/octet-stream", "success_action_status": "204"}
        if self._bucket.encryption is not None:
            fields |= {name.lower(): value for name, value in self._bucket.encryption.headers().items()}
        policy = PostPolicy(self._bucket.name, expire_time)
        for name, value in fields.items():
            policy.add_equals_condition(name, value)
        policy.add_content_length_range_condition(1, most_bytes)
        # The client has no method for the address of a bucket: with some stores it is a host name, with others a path.
        url = self._client.presigned_put_object(self._bucket.name, key).partition("?")[0].removesuffix(key)
        return SignedPost(url, {**fields, **self._client.presigned_post_policy(policy)})
