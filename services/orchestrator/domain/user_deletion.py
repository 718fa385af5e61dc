"""The deletion of one end user with all that belongs to it. What is kept for the accounts gets a pseudonym. Pure."""

import hashlib
import hmac
import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

PSEUDONYM = re.compile(r"deleted-[0-9a-f]{32}")


class State(StrEnum):
    """How far a deletion is."""

    DELETING = "deleting"
    """Jobs are stopped, and rows are deleted."""
    REMOVING_BYTES = "removing-bytes"
    """Nothing of the user is in the database or can be read. The bytes wait for the collector."""
    DONE = "done"


class Obstacle(StrEnum):
    """What a deletion waits for."""

    NOTHING = ""
    UNFINISHED_JOBS = "unfinished-jobs"
    LEGAL_HOLD = "legal-hold"
    COUNTER_AUDIT = "counter-audit"
    """The audit of counters has not seen the end of a job yet, or has found a difference."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holdings:
    """What a user has, or what was deleted of it."""

    entries: int = 0
    """Of the library, also in the trash."""
    size_bytes: int = 0
    """Of assets, fragments too."""
    jobs: int = 0
    unfinished_jobs: int = 0
    shares: int = 0
    """Of assets and collections, ended ones too. 0 in what was deleted: they go with what they share."""
    collections: int = 0
    uploads: int = 0
    """In parts, unfinished or finished less than a day ago."""
    bookings: int = 0
    """Entries of the ledger. They are kept, under the pseudonym."""
    legal_hold: bool = False
    """Whether a legal hold of the tenant refuses the deletion. False in what was deleted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UserDeletion:
    """One deletion."""

    id: str
    """The request_id that began it."""
    tenant: str
    user: str
    """Empty: everything of the user is erased."""
    pseudonym: str
    create_time: datetime
    state: State = State.DELETING
    obstacle: Obstacle = Obstacle.NOTHING
    deleted: Holdings = Holdings()
    erase_time: datetime | None = None
    end_time: datetime | None = None


def pseudonym(key: bytes, tenant: str, user: str, deletion: str) -> str:
    """Returns what stands for a user in what is kept after a deletion.

    Without the key of the service no one can tell the user from it, or that two deletions were of the same user.
    """
    said = "\n".join((tenant, deletion, user)).encode()
    return f"deleted-{hmac.new(key, said, hashlib.sha256).hexdigest()[:32]}"


def redacted(text: str, user: str, stands_for: str) -> str:
    """Returns a text with a pseudonym in place of a user's id, wherever it stands as a word of its own."""
    return re.sub(rf"(?<![\w-]){re.escape(user)}(?![\w-])", stands_for, text)
