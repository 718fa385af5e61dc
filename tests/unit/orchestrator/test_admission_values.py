"""The parameters of the admission statement: sums by counter, in the order in which all code locks counters."""

import json
from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from services.orchestrator.domain.limits.hold import CounterName, Hold
from services.orchestrator.domain.turns import TenantShare
from services.orchestrator.ports.admissions import NewJob
from services.orchestrator.store import admission_statement
from services.orchestrator.store.admission_statement import Booking
from services.orchestrator.store.queue_entries import Queue
from tests.support.builders import numbered

HOLDS = st.lists(
    st.builds(
        Hold,
        st.builds(CounterName, st.sampled_from(["", "user:ann", "user:bob"]), st.sampled_from("mn"), st.just("")),
        st.integers(0, 9),
        st.none() | st.integers(0, 99),
    ),
    max_size=5,
    unique_by=lambda hold: hold.counter,
)
GROUPS = st.lists(st.tuples(st.sampled_from(["studio", "story"]), HOLDS), min_size=1, max_size=8)


@given(GROUPS)
def test_each_counter_comes_once_with_the_sum_of_the_jobs_and_the_lowest_limit(
    group: list[tuple[str, list[Hold]]],
) -> None:
    bookings = [
        Booking(NewJob(numbered(n, tenant=tenant), "fingerprint", "test"), holds, TenantShare(tenant))
        for n, (tenant, holds) in enumerate(group)
    ]
    values = admission_statement.values(Queue("make_video", "i2v-test", "1"), bookings)
    counters, jobs = json.loads(values["counters"]), json.loads(values["jobs"])
    names = [(each["tenant"], each["subject"], each["measure"], each["period"]) for each in counters]
    assert names == sorted(set(names))
    assert [each["place"] for each in counters] == list(range(1, len(names) + 1))
    wanted = defaultdict[tuple[str, ...], list[Hold]](list)
    for tenant, holds in group:
        for hold in holds:
            wanted[tenant, *hold.counter].append(hold)
    assert {name: each["amount"] for name, each in zip(names, counters, strict=True)} == {
        name: sum(hold.amount for hold in holds) for name, holds in wanted.items()
    }
    for name, each in zip(names, counters, strict=True):
        limits = [hold.most for hold in wanted[name] if hold.most is not None]
        assert each["most"] == min(limits, default=None)
    for (tenant, holds), job in zip(group, jobs, strict=True):
        assert [names[place - 1] for place in job["places"]] == [(tenant, *hold.counter) for hold in holds]
        assert job["amounts"] == [hold.amount for hold in holds]
