"""What must hold of the money and the counters of a user whose jobs have ended."""

from tests.support.served_orchestrator import Served


async def books_are_right(i2v: Served, spent: int, **who: str) -> None:
    """Fails unless the audit finds nothing, and the user has spent so much, in millionths, and holds nothing."""
    assert await i2v.app.store.counter_audits.full(limit=9) == []
    usage = await i2v.usage(**who)
    assert (usage.user.reserved.amount_micros, usage.user.spent.amount_micros, usage.user.active_jobs) == (0, spent, 0)
