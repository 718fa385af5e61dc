"""What a job has signed and may not have recorded yet. Pure.

A signature is never the same twice, so the attempt after a crash would store a second file. This note, which is stored
before the file, lets it find the first one, or lets it be removed.
"""

import json
from dataclasses import asdict, dataclass

from services.orchestrator.domain.asset import CHECKPOINTS, blob_key
from services.orchestrator.domain.content_credentials import Identity

SUFFIX = ".signed"


@dataclass(frozen=True, slots=True)
class SignedOutput:
    """One signed file."""

    tenant: str
    sha256: str
    size_bytes: int
    unsigned_sha256: str
    signed_by: Identity

    @property
    def key(self) -> str:
        """Where its bytes lie in the blob store."""
        return blob_key(self.tenant, self.sha256)


def note_key(job_id: str) -> str:
    """Returns the blob key of a job's note. It lies among the job's checkpoints."""
    return f"{CHECKPOINTS}{job_id}{SUFFIX}"


def to_bytes(signed: list[SignedOutput]) -> bytes:
    """Returns the note."""
    return json.dumps([asdict(each) for each in signed]).encode()


def from_bytes(stored: bytes) -> list[SignedOutput]:
    """Returns what a note says. One that cannot be read says nothing."""
    try:
        return [SignedOutput(**{**each, "signed_by": Identity(**each["signed_by"])}) for each in json.loads(stored)]
    except (ValueError, TypeError, KeyError):
        return []
