"""tools.sizing: the simulated queue, against formulas and the rules of the service."""

import random
import statistics

import pytest

from tools.sizing import arrivals, erlang
from tools.sizing.fleet import Target, by_formula, slots_for
from tools.sizing.queue_simulation import Load, around, exponential, simulate, wait_of

T_OF_20 = 2.86
"""99 % of means of 20 batches are within so many standard errors."""


def test_the_formula_gives_what_is_known_of_one_server_and_of_two() -> None:
    assert erlang.waits(1, 0.7) == pytest.approx(0.7)
    assert erlang.mean_wait_s(1, 0.7, 1.0) == pytest.approx(0.7 / 0.3)
    assert erlang.waits(2, 1.0) == pytest.approx(1 / 3)
    assert erlang.mean_wait_s(2, 0.5, 2.0) == pytest.approx(2 / 3)
    assert erlang.wait_s(2, 0.5, 2.0, share=0.5) == 0.0


@pytest.mark.parametrize(("servers", "busy"), [(1, 0.5), (4, 0.8), (16, 0.85)])
def test_the_mean_wait_is_that_of_the_queue_m_m_c_within_the_error_of_chance(servers: int, busy: float) -> None:
    run_s, jobs = 4.0, 800
    per_s = servers * busy / run_s
    load = Load(per_s=per_s, run=exponential(run_s), until_s=jobs / per_s)
    batches = [statistics.fmean(job.wait_s for job in simulate(load, servers, seed)) for seed in range(20)]
    error = T_OF_20 * statistics.stdev(batches) / len(batches) ** 0.5
    expected = erlang.mean_wait_s(servers, per_s, run_s)
    assert abs(statistics.fmean(batches) - expected) < error
    assert error < 0.5 * expected  # otherwise it says nothing


def test_the_same_seed_gives_the_same_day() -> None:
    load = Load(per_s=0.5, run=around(3.0, 0.5), until_s=600)
    assert [job.start_s for job in simulate(load, 2, 7)] == [job.start_s for job in simulate(load, 2, 7)]
    assert [job.start_s for job in simulate(load, 2, 7)] != [job.start_s for job in simulate(load, 2, 8)]


def test_slots_are_never_used_twice_at_a_time_and_no_job_begins_before_it_is_submitted() -> None:
    jobs = simulate(Load(per_s=2.0, run=around(3.0, 0.3), until_s=300), 5)
    moments = [(job.start_s, 1) for job in jobs] + [(job.start_s + job.run_s, -1) for job in jobs]
    used = most = 0
    for _, change in sorted(moments):
        used += change
        most = max(most, used)
    assert most == 5
    assert all(job.wait_s >= 0 for job in jobs)


def test_tenants_share_full_slots_by_their_weights() -> None:
    load = Load(per_s=4.0, run=around(1.0, 0.0), tenants={"one": (1, 0.5), "three": (3, 0.5)}, until_s=300)
    jobs = simulate(load, 2)
    begun = [job for job in jobs if 50 < job.start_s < 250]
    assert statistics.fmean(job.share.tenant == "three" for job in begun) == pytest.approx(0.75, abs=0.02)


def test_runs_have_the_given_mean() -> None:
    chance = random.Random(1)
    for run in (exponential(2.0), around(2.0, 0.5), around(2.0, 0.0)):
        assert statistics.fmean(run(chance) for _ in range(20_000)) == pytest.approx(2.0, rel=0.03)


def test_a_day_has_few_jobs_at_midnight_and_many_at_noon() -> None:
    found = list(arrivals.moments(0.05, arrivals.DAY_S, random.Random(1), "day"))
    hours = [sum(hour * 3600 <= at_s < (hour + 1) * 3600 for at_s in found) for hour in range(24)]
    assert len(found) == pytest.approx(0.05 * arrivals.DAY_S, rel=0.05)
    assert hours[0] + hours[23] < 0.1 * (hours[11] + hours[12])


@pytest.mark.parametrize("shape", ["constant", "day"])
def test_one_slot_fewer_than_needed_misses_the_target(shape: str) -> None:
    load, target = Load(per_s=0.02, run=around(100.0, 0.3), shape=shape), Target(0.95, 60.0)
    slots, reached_s = slots_for(load, 100.0, target)
    assert reached_s <= 60.0
    assert wait_of(simulate(load, slots), 0.95) == pytest.approx(reached_s)
    assert wait_of(simulate(load, slots - 1), 0.95) > 60.0


def test_a_large_fleet_is_computed_by_the_formula() -> None:
    load, target = Load(per_s=100.0, run=around(10.0, 0.3)), Target(0.95, 5.0)
    slots, reached_s = slots_for(load, 10.0, target)
    assert slots == by_formula(100.0, 10.0, target) > 1000
    assert reached_s <= 5.0 < erlang.wait_s(slots - 1, 100.0, 10.0, 0.95)


def test_no_jobs_need_one_slot() -> None:
    assert slots_for(Load(per_s=0.0, run=exponential(1.0)), 1.0, Target(0.95, 1.0)) == (1, 0.0)
