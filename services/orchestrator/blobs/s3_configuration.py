"""The configuration of an S3 bucket: rules are written, all else is looked at.

Stores know different parts of it. What one does not know is said of that part alone.
"""

import asyncio
from collections.abc import Mapping, Sequence
from xml.etree.ElementTree import ParseError, fromstring

from minio.error import MinioException
from minio.helpers import md5sum_hash

from services.orchestrator.blobs.s3_bucket import S3Bucket
from services.orchestrator.blobs.s3_errors import code, failures, status
from services.orchestrator.blobs.s3_rules import CORS, LIFE_CYCLE, RuleKind, Rules, Tree, cors, life_cycle
from services.orchestrator.ports.bucket_configuration import BucketItem, ItemState

BLOCKS = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")


class _Refused(Exception):
    """The store refuses a request about one thing. The text is its own word."""


class S3Configuration:
    """The BucketConfiguration port over a bucket, which is made when it does not exist."""

    def __init__(self, bucket: S3Bucket) -> None:
        self._where = bucket.where
        self._bucket = bucket.name
        self._http = bucket.http(1)
        self._client = bucket.client(self._http)

    async def apply(self, origins: Sequence[str], *, dry_run: bool) -> list[BucketItem]:
        """Writes the rules, and returns how everything is. Raises Unavailable."""
        return await asyncio.to_thread(self._apply, origins, dry_run)

    async def close(self) -> None:
        """Closes the connections."""
        self._http.clear()

    def _apply(self, origins: Sequence[str], dry_run: bool) -> list[BucketItem]:
        with failures(self._where):
            if not self._client.bucket_exists(self._bucket):
                if dry_run:
                    return [BucketItem("bucket", ItemState.DIFFERENT, "It does not exist and would be made.")]
                self._client.make_bucket(self._bucket)
            versioning, versions = self._versioning()
            return [
                self._rules(LIFE_CYCLE, life_cycle(versions=versions), dry_run),
                self._rules(CORS, cors(origins), dry_run) if origins else self._cors(),
                self._public_access(),
                self._encryption(),
                versioning,
            ]

    def _rules(self, kind: RuleKind, wanted: Mapping[str, Tree], dry_run: bool) -> BucketItem:
        try:
            before = Rules(kind, self._get(kind.query, kind.none))
            new = before.with_own(wanted)
            changes = before.changes(new)
            if not changes:
                return BucketItem(kind.name, ItemState.CURRENT, "They are as they should be.")
            if dry_run:
                return BucketItem(kind.name, ItemState.DIFFERENT, "They would be changed.", changes)
            self._put(kind.query, new.xml())
            missing = Rules(kind, self._get(kind.query, kind.none)).changes(new)
        except _Refused as error:
            return BucketItem(kind.name, ItemState.UNSUPPORTED, f"The store answers {error}.")
        except (ValueError, ParseError):
            return BucketItem(kind.name, ItemState.UNSUPPORTED, "The store does not know them: it answers otherwise.")
        if missing:
            return BucketItem(kind.name, ItemState.FAILED, "The store has taken them, but lacks:", missing)
        return BucketItem(kind.name, ItemState.CHANGED, "They were changed and read back.", changes)

    def _cors(self) -> BucketItem:
        try:
            own = Rules(CORS, self._get(CORS.query, CORS.none)).own()
        except _Refused as error:
            return BucketItem(CORS.name, ItemState.UNSUPPORTED, f"The store answers {error}.")
        except (ValueError, ParseError):
            return BucketItem(CORS.name, ItemState.UNSUPPORTED, "The store does not know it: it answers otherwise.")
        if own:
            return BucketItem(CORS.name, ItemState.CURRENT, f"It stays: {'; '.join(own.values())}.")
        return BucketItem(CORS.name, ItemState.ADVICE, "No page may upload to the store; name those that may.")

    def _versioning(self) -> tuple[BucketItem, bool]:
        """Returns the item, and whether the bucket has, or may have, old versions."""
        name = "versioning"
        try:
            found = self._leaves("versioning", "").get("Status", "")
        except _Refused as error:
            return BucketItem(name, ItemState.UNSUPPORTED, f"The store answers {error}."), False
        if not found:
            return BucketItem(name, ItemState.CURRENT, "It is off: what is deleted is gone."), False
        what = "what is deleted stays as an old version for a day, until a life-cycle rule removes it"
        return BucketItem(name, ItemState.ADVICE, f"It is {found.lower()}: {what}."), True

    def _public_access(self) -> BucketItem:
        name = "public access block"
        try:
            found = self._leaves("publicAccessBlock", "NoSuchPublicAccessBlockConfiguration")
        except _Refused as error:
            return BucketItem(name, ItemState.UNSUPPORTED, f"The store answers {error}.")
        lacking = [each for each in BLOCKS if found.get(each, "").lower() != "true"]
        if not lacking:
            return BucketItem(name, ItemState.CURRENT, "Public access is blocked.")
        return BucketItem(name, ItemState.ADVICE, f"Set {', '.join(lacking)}: nothing here needs public access.")

    def _encryption(self) -> BucketItem:
        name = "encryption"
        try:
            found = self._leaves("encryption", "ServerSideEncryptionConfigurationNotFoundError").get("SSEAlgorithm")
        except _Refused as error:
            return BucketItem(name, ItemState.UNSUPPORTED, f"The store answers {error}.")
        if found:
            return BucketItem(name, ItemState.CURRENT, f"The bucket encrypts by default: {found}.")
        what = "The bucket does not encrypt by default; I2V_S3_ENCRYPTION asks for it with each write."
        return BucketItem(name, ItemState.ADVICE, what)

    def _leaves(self, query: str, none: str) -> dict[str, str]:
        """Returns the texts of a configuration by the names of their elements. Raises _Refused."""
        data = self._get(query, none)
        try:
            root = fromstring(data) if data else None
        except ParseError:
            raise _Refused("something else") from None
        if root is None:
            return {}
        if "Configuration" not in root.tag:
            raise _Refused("something else")
        return {each.tag.rpartition("}")[2]: (each.text or "").strip() for each in root.iter()}

    def _get(self, query: str, none: str) -> bytes | None:
        """Returns a configuration; None: the bucket has none. Raises _Refused."""
        return self._ask("GET", query, none=none)

    def _put(self, query: str, body: bytes) -> None:
        self._ask("PUT", query, body=body)

    def _ask(self, method: str, query: str, *, body: bytes | None = None, none: str = "") -> bytes | None:
        headers: dict[str, str | list[str] | tuple[str]] | None
        headers = {"Content-MD5": md5sum_hash(body) or "", "Content-Type": "application/xml"} if body else None
        try:
            # The client has no methods for CORS and public access, and reads rules without what it does not know.
            answer = self._client._execute(method, self._bucket, body=body, headers=headers, query_params={query: ""})
        except MinioException as error:
            word = code(error)
            if none and word == none:
                return None
            answered = status(error) or 0
            if answered >= 500 and answered != 501:
                raise
            raise _Refused(word or f"HTTP status {answered}") from None
        return bytes(answer.data)
