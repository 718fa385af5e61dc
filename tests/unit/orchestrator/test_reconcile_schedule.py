"""Every job whose paid call has an unknown outcome is reconciled, and none too often."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from services.errors import Unavailable
from services.orchestrator.domain.job import Job, State
from services.orchestrator.ports.backend import Backend
from services.orchestrator.worker.reconcile_schedule import ReconcileSchedule
from tests.support.builders import FakeClock, a_job


class Unknown:
    """Jobs whose paid calls have an unknown outcome."""

    def __init__(self, *ids: str) -> None:
        self.jobs = [replace(a_job(id=job_id), state=State.RECONCILING) for job_id in ids]

    async def count_reconciling(self) -> int:
        return len(self.jobs)

    async def reconciling(self, *, after: str, limit: int) -> Sequence[Job]:
        return [job for job in self.jobs if job.id > after][:limit]


class Meter:
    def __init__(self) -> None:
        self.jobs = -1

    def reconciling(self, jobs: int) -> None:
        self.jobs = jobs


class Searches:
    """A reconciler that notes its jobs; those of `unreachable` vendors fail."""

    def __init__(self, unreachable: str = "") -> None:
        self.ids: list[str] = []
        self._unreachable = unreachable

    async def reconcile(self, job: Job, backends: Mapping[str, Backend], refund_window_s: float) -> Job:
        self.ids.append(job.id)
        if job.id == self._unreachable:
            raise Unavailable("The vendor is away.")
        return job


def a_schedule(
    jobs: Unknown, searches: Searches, clock: FakeClock, meter: Meter, *, page: int = 2
) -> ReconcileSchedule:
    return ReconcileSchedule(
        reconciler=searches,
        paid_calls=jobs,
        backends={},
        clock=clock,
        meter=meter,
        refund_window_s=60,
        find_s=10,
        page=page,
    )


async def test_a_round_continues_where_the_round_before_ended() -> None:
    jobs, searches, clock, meter = Unknown("a", "b", "c", "d", "e"), Searches(), FakeClock(), Meter()
    made = a_schedule(jobs, searches, clock, meter)
    for _ in range(3):
        await made.run()
    assert searches.ids == ["a", "b", "c", "d", "e"]
    assert meter.jobs == 5


async def test_a_job_is_reconciled_again_only_after_its_pause() -> None:
    jobs, searches, clock = Unknown("a"), Searches(), FakeClock()
    made = a_schedule(jobs, searches, clock, Meter())
    await made.run()
    clock.advance(9)
    await made.run()
    assert searches.ids == ["a"]
    clock.advance(1)
    await made.run()
    assert searches.ids == ["a", "a"]


async def test_a_vendor_that_cannot_be_reached_does_not_stop_the_round() -> None:
    jobs, searches = Unknown("a", "b"), Searches(unreachable="a")
    await a_schedule(jobs, searches, FakeClock(), Meter()).run()
    assert searches.ids == ["a", "b"]
