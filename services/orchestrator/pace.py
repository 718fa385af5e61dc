"""How often a process looks and how long it waits: constants, which tests shorten."""

from dataclasses import dataclass

from services.orchestrator.assets.read_counts import EVERY_S as COUNTS_EVERY_S
from services.orchestrator.domain.next_event import RETRY_MOST_S
from services.orchestrator.retention.retention import EVERY_S
from services.orchestrator.retention.user_erasure import EVERY_S as ERASURE_EVERY_S
from services.orchestrator.store.worker_name_lock import TIMEOUT_S
from services.orchestrator.worker.availability import CHECK_S
from services.orchestrator.worker.reconcile_schedule import PAGE


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Times in seconds."""

    vendor_look_s: float = CHECK_S
    """Between two questions to vendors whether they take work."""
    longest_retry_s: float = RETRY_MOST_S
    """The longest wait before the next attempt at a job, if no vendor asks for more."""
    name_timeout_s: float = TIMEOUT_S
    """How long a worker waits for its name."""
    reconcile_page: int = PAGE
    """Jobs with an unknown outcome that a worker looks at in one round."""
    counts_every_s: float = COUNTS_EVERY_S
    """Between two writes of how often assets and shares were read."""
    retention_every_s: float = EVERY_S
    """Between two rounds of retention."""
    erasure_every_s: float = ERASURE_EVERY_S
    """Between two rounds of the deletions of users."""


PACE = Pace()
