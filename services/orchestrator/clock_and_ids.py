"""The Clock and Ids of the machine: the only place that reads its time or its randomness."""

import secrets
import time
from datetime import UTC, datetime

from services.orchestrator.domain.spec import SEED_MAX


class SystemClock:
    """The machine's time."""

    def now(self) -> datetime:
        """Returns the current time in UTC."""
        return datetime.now(UTC)


class SystemIds:
    """Ids from the machine's time and randomness."""

    def job_id(self) -> str:
        """Returns a UUID version 7 (RFC 9562) in hexadecimal digits: 48 bits of milliseconds, then 74 random bits."""
        value = (time.time_ns() // 1_000_000) << 80 | secrets.randbits(80)
        value = value & ~(0xF << 76) | 0x7 << 76
        value = value & ~(0x3 << 62) | 0x2 << 62
        return f"{value:032x}"

    def seed(self) -> int:
        """Returns a random seed, 0 to 2^63 - 1."""
        return secrets.randbelow(SEED_MAX + 1)
