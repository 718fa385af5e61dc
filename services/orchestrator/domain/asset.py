"""Assets: bytes with a name, their SHA-256, that belong to one user of one tenant."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from services.orchestrator.domain.media_info import AudioInfo, PictureInfo, VideoInfo


@dataclass(frozen=True, slots=True)
class Asset:
    """What is known of stored bytes."""

    tenant: str
    user: str
    sha256: str
    size_bytes: int
    info: PictureInfo | VideoInfo | AudioInfo
    create_time: datetime
    promised: Mapping[str, str] = field(default_factory=dict)
    """What a vendor stated about it, by the vendor's own keys; `info` is what was measured."""

    @property
    def key(self) -> str:
        """Where the bytes lie in the blob store. Users of one tenant share bytes, never rights."""
        return blob_key(self.tenant, self.sha256)


TENANTS = "tenants/"
"""What the keys of all bytes that belong to a tenant begin with. All others are of checkpoints, uploads and checks."""
CHECKPOINTS = "checkpoints/"
"""What the keys of all checkpoints begin with."""


def checkpoint_key(job_id: str, index: int) -> str:
    """Returns the blob key of one of a job's checkpoints. Flat, so that a folder store keeps no empty folders."""
    return f"{CHECKPOINTS}{job_id}.{index:04d}"


def job_of_checkpoint(key: str) -> str:
    """Returns the id of the job that the checkpoint of a key belongs to."""
    return key.removeprefix(CHECKPOINTS).partition(".")[0]


def blob_key(tenant: str, sha256: str) -> str:
    """Returns the blob key of a tenant's bytes."""
    return f"tenants/{tenant}/assets/{sha256}"


ASSET_KEY = re.compile(r"tenants/([^/]+)/assets/([0-9a-f]{64})")


def owner_of_key(key: str) -> tuple[str, str] | None:
    """Returns the tenant and the SHA-256 of the blob key of an asset's bytes; None for any other key."""
    found = ASSET_KEY.fullmatch(key)
    return (found[1], found[2]) if found else None
