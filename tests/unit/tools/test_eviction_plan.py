"""The plan of random evictions."""

from collections import Counter

from tools.evictions.plan import PAUSE_MOST_S, evictions
from tools.evictions.rolling_restart import Restart

NAMES = ("api-0", "api-1", "worker-0", "worker-1")


def test_the_same_seed_gives_the_same_evictions_and_another_seed_others() -> None:
    assert evictions(NAMES, 100, 1) == evictions(NAMES, 100, 1)
    assert evictions(NAMES, 100, 1) != evictions(NAMES, 100, 2)


def test_every_process_is_evicted_and_a_share_of_them_is_killed() -> None:
    planned = evictions(NAMES, 100, 1)
    assert Counter(each.name for each in planned).keys() == set(NAMES)
    assert 20 <= sum(each.killed for each in planned) <= 40
    assert all(0 <= each.pause_s <= PAUSE_MOST_S for each in planned)


def test_a_worker_whose_jobs_all_ended_has_none_that_went_on_late() -> None:
    assert (Restart(2.0, ()).slowest_s, Restart(2.0, (1.0, 5.0)).after_return_s) == (0.0, 3.0)
