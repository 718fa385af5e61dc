"""Assets: bytes with a name, their SHA-256, that belong to one user of one tenant."""

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
