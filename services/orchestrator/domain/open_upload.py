"""An upload in parts: it continues after a break, from the bytes that are stored."""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.orchestrator.domain.library_details import Details

UPLOADS = "uploads/"
"""What the keys of the parts of all uploads begin with."""
KEPT_FOR = timedelta(days=1)
"""How long an upload can be continued."""


@dataclass(frozen=True, slots=True)
class UploadId:
    """The name of an upload: a UUID that the caller chose, of one user."""

    tenant: str
    user: str
    id: str

    @property
    def prefix(self) -> str:
        """What the keys of its parts begin with. Two users may choose the same UUID."""
        digest = hashlib.sha256("\0".join((self.tenant, self.user, self.id)).encode()).hexdigest()
        return f"{UPLOADS}{digest[:32]}."


@dataclass(frozen=True, slots=True)
class OpenUpload:
    """What is known of an upload."""

    id: UploadId
    media_type: str
    size_bytes: int
    sha256: str
    """Of the whole file, as the caller stated it; empty: not given."""
    details: Details
    create_time: datetime
    received_bytes: int = 0
    parts: tuple[str, ...] = ()
    """Blob keys, in order."""
    asset: str = ""
    """SHA-256 of the asset that it became; empty: it is not finished."""

    @property
    def expire_time(self) -> datetime:
        """When what has arrived of it is removed."""
        return self.create_time + KEPT_FOR

    def same_file(self, other: "OpenUpload") -> bool:
        """Returns whether another header describes the same file."""
        return (self.media_type, self.size_bytes, self.sha256) == (other.media_type, other.size_bytes, other.sha256)
