"""FairGroups against a model: nothing is lost or comes twice, and no tenant fills the groups."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from services.orchestrator.store.fair_groups import FairGroups

MOST = 4
Thing = tuple[str, int]
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.sampled_from("abcde")),
        st.tuples(st.just("enter"), st.sampled_from("abcde")),
        st.tuples(st.just("remove"), st.integers(0, 9)),
        st.just(("take", None)),
        st.tuples(st.just("end"), st.booleans()),
    ),
    max_size=60,
)


@given(STEPS)
def test_each_thing_comes_once_in_its_order_and_each_tenant_is_in_one_group(steps: list[tuple[str, object]]) -> None:
    groups = FairGroups[Thing](MOST)
    waiting: list[Thing] = []
    under_way: list[set[str]] = []
    alone: set[str] = set()
    count = 0
    for step, what in steps:
        busy = set[str]().union(*under_way)
        free = [tenant for tenant, _ in waiting if tenant not in busy]
        if step == "add":
            count += 1
            waiting.append((str(what), count))
            groups.add(str(what), waiting[-1])
        elif step == "enter":
            entered = groups.enter(str(what))
            assert entered == (not free and what not in busy)
            if entered:
                under_way.append({str(what)})
        elif step == "remove" and waiting:
            gone = waiting.pop(int(str(what)) % len(waiting))
            assert groups.remove(*gone[:1], gone)
            assert not groups.remove(*gone[:1], gone)
        elif step == "take":
            taken = groups.take()
            assert bool(taken) == bool(free)
            tenants = Counter(tenant for tenant, _ in taken)
            assert not busy & tenants.keys()
            assert len(taken) <= (1 if alone & tenants.keys() else MOST)
            for tenant, number in tenants.items():  # each tenant's first ones
                own = [thing for thing in waiting if thing[0] == tenant]
                assert [thing for thing in taken if thing[0] == tenant] == own[:number]
                others = [other for other, _ in waiting if other in tenants and other != tenant]
                assert all(tenants[other] >= min(number - 1, others.count(other)) for other in others)
            if len(tenants) < MOST and not alone & tenants.keys():
                assert set(free) - alone <= tenants.keys(), "a free tenant was passed over"
            waiting = [thing for thing in waiting if thing not in taken]
            if taken:
                under_way.append(set(tenants))
        elif step == "end" and under_way:
            ended = under_way.pop(0)
            groups.leave(ended, alone=bool(what))
            alone = alone | ended if what else alone - ended


def test_the_first_job_of_a_tenant_goes_before_the_second_of_any_other() -> None:
    groups = FairGroups[Thing](MOST)
    for number in range(100):
        groups.add("many", ("many", number))
    for tenant in "abc":
        groups.add(tenant, (tenant, 0))
    assert [tenant for tenant, _ in groups.take()] == ["many", "a", "b", "c"]


def test_tenants_that_did_not_fit_into_a_group_are_the_first_of_the_next() -> None:
    groups = FairGroups[Thing](2)
    for tenant in "abcabc":
        groups.add(tenant, (tenant, 0))
    assert [tenant for tenant, _ in groups.take()] == ["a", "b"]
    groups.leave(["a", "b"], alone=False)
    assert [tenant for tenant, _ in groups.take()] == ["c", "a"]


def test_a_tenant_that_goes_alone_delays_no_group_and_is_not_passed_over() -> None:
    groups = FairGroups[Thing](MOST)
    assert groups.enter("bad")
    groups.leave(["bad"], alone=True)
    for tenant in ("a", "bad", "b", "bad"):
        groups.add(tenant, (tenant, 0))
    assert [[tenant for tenant, _ in groups.take()] for _ in range(2)] == [["a", "b"], ["bad"]]
