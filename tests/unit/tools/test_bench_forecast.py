"""The simulated day by which the expected start of jobs is judged."""

import statistics
from dataclasses import replace

from tools.bench_forecast import OWN, VENDOR, errors, simulate


def test_every_job_of_a_day_begins_within_the_slots_and_the_limit_of_a_minute() -> None:
    load = replace(VENDOR, jobs_a_day=300, batches=1)
    begun = simulate(load)
    assert len(begun) >= 300 // 2 and len({job.job_id for job in begun}) == len(begun)
    for job, later in zip(begun, begun[load.per_minute or 0 :], strict=False):
        assert later.start_s >= job.start_s + 60
    ends = sorted(
        (time_s, change) for job in begun for time_s, change in ((job.start_s, 1), (job.start_s + job.run_s, -1))
    )
    busy = 0
    for _, change in ends:
        busy += change
        assert busy <= load.slots


def test_the_expected_start_of_a_quiet_day_is_nearly_right() -> None:
    found = errors(simulate(replace(OWN, jobs_a_day=2000, batches=4)))
    assert found and statistics.median(found) <= 0.25
