"""Whose job takes the next free slot."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.orchestrator.domain.turns import PASSED_MOST, PriorityOrder, TenantShare, Turns

A, B, C = TenantShare("a"), TenantShare("b"), TenantShare("c")


def taken(turns: Turns, waiting: list[TenantShare], count: int, *, took_s: float = 1.0) -> str:
    """Returns whose jobs begin, when each job ends before the next begins."""
    found = ""
    for _ in range(count):
        turns.update(waiting)
        turn = turns.next(waiting)
        turns.ended(turn, took_s)
        found += turn.share.tenant
    return found


def test_tenants_of_equal_weight_alternate() -> None:
    assert taken(Turns(), [A, B], 6) == "ababab"


@pytest.mark.parametrize(("heavy", "light"), [(3, 1), (100, 1), (5, 2)])
def test_tenants_share_by_their_weights(heavy: int, light: int) -> None:
    share = heavy / (heavy + light)
    counted = Counter(taken(Turns(), [TenantShare("a", 0, heavy), TenantShare("b", 0, light)], 1000))
    assert counted["a"] == pytest.approx(1000 * share, rel=0.02)


def test_shares_are_of_time_not_of_jobs() -> None:
    turns, seconds = Turns(), Counter[str]()
    for _ in range(1000):
        turns.update([A, B])
        turn = turns.next([A, B])
        took_s = 10.0 if turn.share == A else 1.0
        turns.ended(turn, took_s)
        seconds[turn.share.tenant] += took_s
    assert seconds["a"] == pytest.approx(seconds["b"], rel=0.05)


def test_a_tenant_that_begins_to_wait_is_next_whatever_others_have_queued() -> None:
    turns = Turns()
    assert taken(turns, [A], 1000) == "a" * 1000
    assert taken(turns, [A, B], 4) == "baba"


def test_a_tenant_that_had_all_slots_while_nobody_waited_does_not_pay_for_it() -> None:
    turns = Turns()
    taken(turns, [B], 1, took_s=3600.0)
    taken(turns, [A], 10, took_s=10.0)
    assert taken(turns, [A, B], 1) == "b"


def test_tenants_that_come_back_for_each_job_leave_a_waiting_one_its_share() -> None:
    turns, found = Turns(), ""
    for round_ in range(300):
        waiting = [A, B] if round_ % 2 else [A, C]
        found += taken(turns, waiting, 1)
    assert found.count("a") >= 95


@pytest.mark.parametrize("workers", [2, 7])
def test_several_workers_are_fair_together(workers: int) -> None:
    counted = Counter[str]()
    for _ in range(workers):
        counted.update(taken(Turns(), [TenantShare("a", 0, 3), B], 100))
    assert counted["a"] == pytest.approx(75 * workers, rel=0.05)


def test_higher_priorities_come_first_and_lower_ones_after_four_of_their_turns() -> None:
    turns, urgent = Turns(), TenantShare("u", 5)
    assert taken(turns, [A, B, urgent], 12) == "uuuuauuuubuu"
    assert taken(turns, [A, B], 4) == "abab"


@given(st.lists(st.sets(st.integers(0, 5), min_size=1), min_size=1, max_size=100))
def test_no_priority_that_waits_is_passed_over_for_ever(rounds: list[set[int]]) -> None:
    order, passed = PriorityOrder(), Counter[int]()
    for waiting in rounds:
        chosen = order.next(waiting | {0})
        assert chosen in waiting | {0}
        passed = Counter({0: passed[0] + 1}) if chosen else Counter()
        assert passed[0] <= PASSED_MOST + 5  # the other priorities that wait as long come before it


def test_a_priority_alone_has_every_turn() -> None:
    order = PriorityOrder()
    assert [order.next([3]) for _ in range(10)] == [3] * 10


def test_a_turn_without_a_job_costs_nothing() -> None:
    turns = Turns()
    turns.update([A, B])
    for _ in range(5):
        turns.give_back(turns.next([A]))
    assert taken(turns, [A, B], 4) == "baba"


@given(st.text(min_size=1), st.integers(-5, 5), st.integers(1, 100))
def test_a_key_names_tenant_priority_and_weight(tenant: str, priority: int, weight: int) -> None:
    share = TenantShare(tenant, priority, weight)
    assert TenantShare.parse(share.key) == share


@pytest.mark.parametrize("key", ["studio", "a/b", "a/b/c", "1/x/c", "1/2/", "/"])
def test_the_key_of_an_earlier_version_is_the_tenant(key: str) -> None:
    assert TenantShare.parse(key) == TenantShare(key)


@given(st.lists(st.sampled_from("abcd"), min_size=1, max_size=60), st.integers(1, 4))
def test_no_tenant_that_waits_all_the_time_gets_less_than_its_share(comers: list[str], weight: int) -> None:
    """Others come and go as they like; one waits all the time."""
    turns, patient, mine = Turns(), TenantShare("z", 0, weight), 0
    for comer in comers:
        waiting = [patient, TenantShare(comer)]
        turns.update(waiting)
        turn = turns.next(waiting)
        turns.ended(turn, 1.0)
        mine += turn.share == patient
    assert mine >= (len(comers) - 4) // 5
