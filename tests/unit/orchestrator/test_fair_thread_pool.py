"""The order of decoding: tenants take turns, and no tenant holds all decoders."""

import asyncio
import os
import signal
import threading
from pathlib import Path

import pytest

from services.orchestrator.media.fair_thread_pool import FairThreadPool
from services.orchestrator.media.picture import normalise
from services.orchestrator.media.sandbox import Sandbox
from tests.support import pictures


class Work:
    """A job that runs until it is released."""

    def __init__(self, name: str, order: list[str]) -> None:
        self._name, self._order = name, order
        self._begun, self._free = threading.Event(), threading.Event()

    def __call__(self) -> str:
        self._order.append(self._name)
        self._begun.set()
        assert self._free.wait(30)
        return self._name

    def begun(self) -> bool:
        return self._begun.is_set()

    def wait(self) -> None:
        assert self._begun.wait(30)

    def free(self) -> None:
        self._free.set()


def test_a_tenant_has_at_most_half_and_another_need_not_wait_for_it() -> None:
    turns, order = FairThreadPool(4, "test"), list[str]()
    mine = [Work(f"mine {number}", order) for number in range(6)]
    futures = [turns.submit("mine", work) for work in mine]
    for work in mine[:2]:
        work.wait()
    yours = Work("yours", order)
    future = turns.submit("yours", yours)
    yours.wait()
    assert [work.begun() for work in mine] == [True, True, False, False, False, False]
    for work in (*mine, yours):
        work.free()
    assert [each.result(30) for each in (*futures, future)] == [*(f"mine {n}" for n in range(6)), "yours"]


@pytest.mark.parametrize("size", [1, 2, 3])
def test_half_of_few_threads_is_one(size: int) -> None:
    turns, order = FairThreadPool(size, "test"), list[str]()
    works = [Work(f"{owner} {number}", order) for number in range(3) for owner in ("mine", "yours", "theirs")]
    futures = [turns.submit(work._name.split()[0], work) for work in works]
    for work in works[:size]:
        work.wait()
    assert [work.begun() for work in works[:3]] == [number < size for number in range(3)]
    for work in works:
        work.free()
    for future in futures:
        future.result(30)


def test_waiting_tenants_take_turns_for_any_number_of_calls() -> None:
    turns, order = FairThreadPool(1, "test"), list[str]()
    first = Work("first", order)
    futures = [turns.submit("mine", first)]
    first.wait()
    works = [Work(f"mine {number}", order) for number in range(3)]
    works += [Work(f"{owner} {number}", order) for owner in ("yours", "theirs") for number in range(2)]
    for work in works:
        work.free()
        futures.append(turns.submit(work._name.split()[0], work))
    first.free()
    for future in futures:
        future.result(30)
    assert order == ["first", "mine 0", "yours 0", "theirs 0", "mine 1", "yours 1", "theirs 1", "mine 2"]


async def test_a_call_cancelled_while_it_waits_never_runs_and_a_running_one_keeps_its_turn() -> None:
    turns, order = FairThreadPool(2, "test"), list[str]()
    running, waiting, next_one = (Work(name, order) for name in ("running", "waiting", "next"))
    tasks = [asyncio.create_task(turns.run("mine", work)) for work in (running, waiting)]
    await asyncio.to_thread(running.wait)
    for task in tasks:
        task.cancel()
    assert [type(each) for each in await asyncio.gather(*tasks, return_exceptions=True)] == [
        asyncio.CancelledError,
        asyncio.CancelledError,
    ]
    last = asyncio.create_task(turns.run("mine", next_one))
    other = Work("other", order)
    other.free()
    await turns.run("yours", other)
    assert order == ["running", "other"], "the thread of a cancelled call still counts"
    running.free()
    next_one.free()
    assert await last == "next"
    assert order == ["running", "other", "next"]


async def test_a_failure_reaches_its_caller_and_gives_the_turn_back() -> None:
    turns = FairThreadPool(1, "test")

    def broken() -> None:
        raise ZeroDivisionError

    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            await turns.run("mine", broken)


async def test_a_tenant_with_slow_pictures_does_not_hold_up_another(tmp_path: Path) -> None:
    (tmp_path / "slow").write_bytes(pictures.encoded(pictures.noisy(3000, 2000), "JPEG", quality=60, progressive=True))
    (tmp_path / "small").write_bytes(pictures.a_picture(256, 256))
    finished: list[str] = []

    async def take(tenant: str, name: str, number: int) -> None:
        await normalise(tmp_path / name, tmp_path / f"out-{tenant}-{number}", field="data", tenant=tenant)
        finished.append(tenant)

    await asyncio.gather(take("mine", "small", 8), take("yours", "small", 8))  # both decoders have started
    finished.clear()
    async with asyncio.TaskGroup() as group:
        for number in range(8):
            group.create_task(take("mine", "slow", number))
        await asyncio.sleep(0)
        group.create_task(take("yours", "small", 0))
    assert "yours" in finished[:4]


def test_a_child_that_gets_no_processor_for_a_while_is_waited_for(tmp_path: Path) -> None:
    """On a loaded machine a good file must not be refused: the limit counts processor time, not waiting."""
    limit_s = 0.5
    sandbox = Sandbox("pictures", size=1, limit_s=limit_s)
    (tmp_path / "in").write_bytes(pictures.a_picture())
    with (tmp_path / "in").open("rb") as source, (tmp_path / "out").open("wb") as target:
        sandbox.call(source.fileno(), target.fileno())
        (child,) = sandbox.pids()
        os.kill(child, signal.SIGSTOP)
        threading.Timer(limit_s + 1.5, os.kill, (child, signal.SIGCONT)).start()
        assert sandbox.call(source.fileno(), target.fileno())["width"] == 64
    sandbox.close()
