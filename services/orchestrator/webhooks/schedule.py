"""When a delivery is tried again, and how long an endpoint that fails is left alone."""

from datetime import timedelta
from zlib import crc32

from services.orchestrator.domain.webhook import LEFT_ALONE

PAUSES_S = (5, 30, 120, 600, 1_800, 3_600, 7_200, 14_400, 28_800, 28_800)
"""Seconds between a failed try and the next one; together almost a day. After them a delivery is given up."""
TRIED_FOR = timedelta(seconds=sum(PAUSES_S))
"""How long a delivery is tried, and an endpoint may fail before it is paused."""
SPREAD = 0.1
"""A pause is up to this share longer, so that what failed together does not come together again."""
HOLD_S, HOLD_MOST_S = 5.0, 300.0
"""How long an endpoint is left alone first, which doubles with each failure, and at most: so it is noticed within this
time that a receiver is back."""


def pause(delivery: str, tries: int, age: timedelta) -> timedelta | None:
    """Returns the time to the next try after this many failed ones; None: the delivery is given up.

    `age` is the time since the event: a receiver that comes and goes causes many tries in a short time.
    """
    if tries > len(PAUSES_S) and age >= TRIED_FOR:
        return None
    share = crc32(f"{delivery} {tries}".encode()) / 2**32
    return timedelta(seconds=PAUSES_S[min(tries, len(PAUSES_S)) - 1] * (1 + SPREAD * share))


def hold(failures: int) -> timedelta | None:
    """Returns how long an endpoint gets nothing after this many failures in a row; None: the next one may come now."""
    if failures < LEFT_ALONE:
        return None
    return timedelta(seconds=min(HOLD_S * 2 ** min(failures - LEFT_ALONE, 30), HOLD_MOST_S))
