"""Counters, holds, periods and plans, held against a model in plain Python through any sequence of what can happen."""

import asyncio
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

import sqlalchemy as sa
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from services.errors import QuotaExceeded
from services.orchestrator.domain import next_event
from services.orchestrator.domain.caller import Caller
from services.orchestrator.domain.event import Body, Cancelled, Failed, JobError, Succeeded, VideoOutput
from services.orchestrator.domain.job import Job
from services.orchestrator.domain.limits.calendar import BillingCalendar, Per
from services.orchestrator.domain.limits.limit import Limit, Subject
from services.orchestrator.domain.limits.measure import Jobs, Measure, QueuedJobs, Spend, UnfinishedJobs, VideoSeconds
from services.orchestrator.domain.plan import Plan
from services.orchestrator.domain.spec import Size
from services.orchestrator.store.postgres_store import PostgresStore
from services.orchestrator.store.queue_entries import Queue
from tests.support.builders import NOON, FakeClock, a_job, a_spec

OUTPUT = VideoOutput("f" * 64, Size(64, 32), 8, 8.0, 1000, 1234)
QUOTE, LENGTH_MS = 1000, 1000
KINDS: list[tuple[Measure, list[Per], int]] = [
    (Spend(), [Per.DAY, Per.MONTH, Per.ANNIVERSARY], QUOTE),
    (Jobs(), [Per.DAY, Per.MONTH], 1),
    (Jobs(model="other-model"), [Per.DAY], 1),
    (VideoSeconds(), [Per.MONTH], LENGTH_MS),
    (UnfinishedJobs(), [Per.AT_A_TIME], 1),
    (QueuedJobs(), [Per.AT_A_TIME], 1),
]
LIMITS = st.builds(
    lambda kind, subject, per, jobs: Limit(kind[0], subject, kind[1][per % len(kind[1])], jobs and jobs * kind[2]),
    st.sampled_from(KINDS),
    st.sampled_from(Subject),
    st.integers(0, 2),
    st.sampled_from([1, 2, 3, 2, 3, 5, None, 0]),
)
PLANS = st.lists(LIMITS, max_size=4, unique_by=lambda limit: limit.key).map(lambda limits: Plan("any", tuple(limits)))
ZONES = st.sampled_from(["UTC", "Europe/Berlin", "Pacific/Auckland", "America/Sao_Paulo"])


@dataclass
class Count:
    """What the model knows of a counter."""

    used: int = 0
    held: int = 0


@dataclass
class Admitted:
    """What the model knows of a job: the counters that hold something for it."""

    job: Job
    holds: dict[tuple[str, str, str], tuple[Measure, int]]
    begun: bool = False


class CounterMachine(RuleBasedStateMachine):
    """One tenant of its own for each example; the clock goes forward and back."""

    store: PostgresStore
    clock: FakeClock
    run: Callable[[Any], Any]
    count = 0

    @initialize(plan=PLANS, zone=ZONES, day=st.integers(1, 31))
    def begin(self, plan: Plan, zone: str, day: int) -> None:
        CounterMachine.count += 1
        self.tenant = f"tenant-{CounterMachine.count}"
        self.run(self.store.tenants.put(self.tenant, "test", f"{CounterMachine.count:064x}"))
        self.plan = plan
        self.calendar = BillingCalendar(zone, date(2024, 1, day))
        self.clock.time = NOON
        self.counts: dict[tuple[str, str, str], Count] = defaultdict(Count)
        self.unfinished: list[Admitted] = []
        self.submitted = 0

    @rule(plan=st.none() | PLANS)
    def change_plan(self, plan: Plan | None) -> None:
        self.plan = plan or self.plan

    @rule(hours=st.sampled_from([0, 1, 5, 24, 24 * 15, -2, -24 * 20]))
    def move_the_clock(self, hours: int) -> None:
        self.clock.time += timedelta(hours=hours)

    @rule(
        user=st.sampled_from(["ann", "ann", "bob"]),
        key=st.sampled_from(["k1", "k2", ""]),
        model=st.sampled_from(["test", "other"]),
        times=st.integers(1, 4),
    )
    def submit(self, user: str, key: str, model: str, times: int) -> None:
        for _ in range(times):
            self.submit_one(user, key, model)

    def submit_one(self, user: str, key: str, model: str) -> None:
        caller = Caller(self.tenant, user, self.plan, key, self.calendar)
        holds, fits = self.expected(caller, f"{model}-model")
        self.submitted += 1
        number = f"{CounterMachine.count:016x}{self.submitted:016x}"
        job = a_job(
            id=number,
            request_id=number,
            tenant=self.tenant,
            user=user,
            key=key,
            spec=replace(a_spec(), model=f"{model}-model", duration_ms=LENGTH_MS, seed=1, timeout_ms=1000),
            create_time=self.clock.time,
            expire_time=self.clock.time + timedelta(days=365),
        )
        try:
            admitted = self.run(self.store.admissions.admit(job, "fingerprint", caller, "test"))
        except QuotaExceeded as refused:
            assert not fits
            assert {(each.subject, each.measure, each.per) for each in refused.violations} == self.violated
            return
        assert fits
        for counter, (_, amount) in holds.items():
            self.counts[counter].held += amount
        self.unfinished.append(Admitted(admitted, holds))

    @precondition(lambda self: self.unfinished)
    @rule(data=st.data())
    def start(self, data: st.DataObject) -> None:
        self.start_one(data.draw(st.sampled_from(self.unfinished)))

    def start_one(self, chosen: Admitted) -> None:
        if chosen.begun:
            return
        self.run(self.store.jobs.record(chosen.job.id, next_event.start))
        chosen.begun = True
        for counter, (measure, amount) in list(chosen.holds.items()):
            if isinstance(measure, QueuedJobs):
                self.counts[counter].held -= amount
                del chosen.holds[counter]

    @precondition(lambda self: self.unfinished)
    @rule(data=st.data(), charged=st.sampled_from([0, 1, 400, QUOTE]), how=st.sampled_from(["succeed", "fail", "stop"]))
    def end(self, data: st.DataObject, charged: int, how: str) -> None:
        self.end_one(data.draw(st.sampled_from(self.unfinished)), charged, how)

    @precondition(lambda self: self.unfinished)
    @rule()
    def make_all_videos(self) -> None:
        for each in list(self.unfinished):
            self.start_one(each)
            self.end_one(each, QUOTE, "succeed")

    def end_one(self, chosen: Admitted, charged: int, how: str) -> None:
        if not chosen.begun:
            how, charged = "stop", 0
        body: Body = Cancelled(charged)
        if how == "succeed":
            body, charged = Succeeded(OUTPUT, QUOTE), QUOTE
        elif how == "fail":
            body = Failed(JobError("X", "x", retryable=True), charged)
        elif chosen.begun:
            self.run(self.store.jobs.record(chosen.job.id, next_event.cancel))
        self.run(self.store.jobs.record(chosen.job.id, lambda _: body))
        self.unfinished.remove(chosen)
        for counter, (measure, amount) in chosen.holds.items():
            self.counts[counter].held -= amount
            match measure:
                case Spend():
                    self.counts[counter].used += charged
                case Jobs():
                    self.counts[counter].used += 1 if charged else 0
                case VideoSeconds():
                    self.counts[counter].used += -(-LENGTH_MS * charged // QUOTE)

    @rule()
    def audit_what_has_changed(self) -> None:
        assert self.run(self.store.counter_audits.changes(every_s=0)).differences == 0

    @invariant()
    def the_counters_are_those_of_the_model(self) -> None:
        if not hasattr(self, "tenant"):
            return
        query = sa.text("SELECT subject, measure, period, used, held FROM counters WHERE tenant = :tenant")

        async def read() -> dict[tuple[str, str, str], tuple[int, int]]:
            async with self.store.database.reading() as connection:
                rows = await connection.execute(query, {"tenant": self.tenant})
                return {(row.subject, row.measure, row.period): (row.used, row.held) for row in rows}

        stored = {name: amounts for name, amounts in self.run(read()).items() if amounts != (0, 0)}
        assert stored == {name: (each.used, each.held) for name, each in self.counts.items() if each != Count()}

    def expected(self, caller: Caller, model: str) -> tuple[dict[tuple[str, str, str], tuple[Measure, int]], bool]:
        """Returns what the job would hold, and whether every limit allows it; notes those that do not."""
        limits = [*self.plan.limits]
        for subject in (Subject.TENANT, Subject.USER):
            for measure, per in ((Spend(), Per.MONTH), (UnfinishedJobs(), Per.AT_A_TIME)):
                if not any((each.subject, each.measure, each.per) == (subject, measure, per) for each in limits):
                    limits.append(Limit(measure, subject, per, None))
        holds: dict[tuple[str, str, str], tuple[Measure, int]] = {}
        self.violated: set[tuple[str, str, str]] = set()
        for limit in limits:
            if limit.subject is Subject.KEY and not caller.key:
                continue
            if limit.measure == Jobs(model="other-model") and model != "other-model":
                continue
            subject = {"tenant": "", "user": f"user:{caller.user}", "key": f"key:{caller.key}"}[limit.subject]
            counter = (subject, limit.measure.key, self.calendar.period(limit.per, self.clock.time).key)
            amount = {Spend: QUOTE, VideoSeconds: LENGTH_MS}.get(type(limit.measure), 1)
            holds[counter] = (limit.measure, amount)
            counted = self.counts[counter]
            if limit.most is not None and counted.used + counted.held + amount > limit.most:
                self.violated.add((limit.subject.value, limit.measure.key, limit.per.value))
        return holds, not self.violated


def test_counters_holds_periods_and_plans_behave_as_the_model(database: str) -> None:
    clock = FakeClock()
    with asyncio.Runner() as runner:
        store = PostgresStore(database, clock=clock, queue=Queue("make_video", "i2v-test", "1"))
        runner.run(store.start())
        try:
            machine = type(
                "Machine", (CounterMachine,), {"store": store, "clock": clock, "run": staticmethod(runner.run)}
            )
            run_state_machine_as_test(
                machine,
                settings=settings(
                    max_examples=40,
                    stateful_step_count=20,
                    deadline=None,
                    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
                ),
            )
            assert runner.run(store.counter_audits.full(limit=9)) == []
        finally:
            runner.run(store.stop())
