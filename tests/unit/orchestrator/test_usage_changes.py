"""What a watcher of usage is sent between two moments."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from i2v.v1 import job_pb2, usage_pb2

from services.orchestrator.api import usage_changes
from services.orchestrator.api.usage_changes import UsageSnapshot
from services.orchestrator.domain.caller import Caller
from services.orchestrator.domain.limits.calendar import BillingCalendar, Per
from services.orchestrator.domain.limits.limit import Limit, Subject
from services.orchestrator.domain.limits.measure import Jobs, Measure, Spend, StoredBytes, VideoSeconds
from services.orchestrator.domain.limits.status import LimitStatus
from services.orchestrator.domain.limits.warning import THRESHOLDS, UsageWarning
from services.orchestrator.domain.plan import Plan
from tests.support.builders import NOON

UTC = BillingCalendar()
MEASURES: list[tuple[Measure, Per]] = [
    (Spend(), Per.MONTH),
    (Jobs(model="nano"), Per.DAY),
    (VideoSeconds(), Per.ANNIVERSARY),
    (StoredBytes(), Per.AT_A_TIME),
]
AMOUNTS = st.integers(0, 2**53)


def statuses(kind: tuple[Measure, Per]) -> st.SearchStrategy[LimitStatus]:
    measure, per = kind
    raised = st.integers(0, 3).map(lambda count: tuple(UsageWarning(each, NOON) for each in THRESHOLDS[:count]))
    limits = st.builds(Limit, st.just(measure), st.just(Subject.USER), st.just(per), st.none() | AMOUNTS)
    return st.builds(LimitStatus, limits, st.just(UTC.period(per, NOON)), AMOUNTS, AMOUNTS, warnings=raised)


def snapshots(plan: str) -> st.SearchStrategy[UsageSnapshot]:
    kinds = st.lists(st.sampled_from(MEASURES), unique=True).flatmap(lambda some: st.tuples(*map(statuses, some)))
    return st.builds(UsageSnapshot, st.just(Caller("studio", "ann", Plan(plan))), kinds)


def shown(state: usage_pb2.UsageState) -> dict[tuple[str, str], job_pb2.LimitStatus]:
    return {(each.measure, each.per): each for each in state.limits}


@given(snapshots("free"), snapshots("free") | snapshots("pro"))
def test_a_watcher_that_applies_what_it_is_sent_knows_every_limit(before: UsageSnapshot, after: UsageSnapshot) -> None:
    seen = shown(usage_changes.state(before))
    warned = {}
    for response in usage_changes.changes(before, after):
        match response.WhichOneof("response"):
            case "state":
                seen = shown(response.state)
            case "change":
                seen[response.change.measure, response.change.per] = response.change
            case "warning":
                warned[response.warning.limit.measure] = response.warning.percent
    assert list(seen.items()) == list(shown(usage_changes.state(after)).items())
    old = {each.limit.key: each.warnings for each in before.limits}
    assert warned == {
        each.limit.measure.key: each.warnings[-1].threshold
        for each in after.limits
        if len(each.warnings) > len(old.get(each.limit.key, ()))
    }


@given(snapshots("free"))
def test_without_a_change_nothing_is_sent(snapshot: UsageSnapshot) -> None:
    assert list(usage_changes.changes(snapshot, replace(snapshot))) == []


def test_an_unlimited_limit_and_one_of_0_are_different() -> None:
    period = UTC.period(Per.DAY, NOON)
    limits = tuple(LimitStatus(Limit(Jobs(), Subject.TENANT, Per.DAY, most), period) for most in (None, 0))
    unlimited, none = usage_changes.state(UsageSnapshot(Caller("studio", "ann", Plan("free")), limits)).limits
    assert not unlimited.HasField("limit")
    assert none.HasField("limit") and none.limit == 0
