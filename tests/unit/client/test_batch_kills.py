"""A batch that is killed at any step: the next call makes what is missing, and nothing is paid for twice."""

import errno
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.client.batch.batch_folder import BatchFolder
from services.client.batch.commits import Commits
from services.client.batch.item import State
from tests.support.batch_rig import BatchRig
from tests.support.batch_service import PRICE, BatchService
from tests.support.killed_steps import Killed, Steps

Result = TypeVar("Result")
ROWS = ("one,cat.png", "two,", "three,cat.png")


@dataclass
class KilledCommits:
    """Each change of the journal that is waited for is a step; the others are lost as long as they can be."""

    commits: Commits
    steps: Steps
    late: list[Callable[[], Any]] = field(default_factory=list)

    async def make(self, change: Callable[[], Result]) -> Result:
        late, self.late = self.late, []

        def all_of_them() -> Result:
            for each in late:
                each()
            return change()

        result: Result = await self.steps.take(self.commits.make(all_of_them))
        return result

    def soon(self, change: Callable[[], Any]) -> None:
        self.late.append(change)


@dataclass
class KilledService:
    """Each call of the service is a step: killed before, nothing was asked; killed after, the answer is lost."""

    service: BatchService
    steps: Steps

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.service, name)
        return lambda *given, **named: self.steps.take(method(*given, **named))

    async def watch(self, name: str, **more: Any) -> AsyncGenerator[Any, None]:
        async for event in self.service.watch(name, **more):
            yield event


class KilledFolder(BatchFolder):
    """The move of a video to its name is a step."""

    steps: Steps

    def put(self, part: Path, name: str) -> None:
        self.steps.kill_at -= 1
        last = self.steps.kill_at == 0
        if last and not self.steps.after:
            raise Killed
        super().put(part, name)
        if last:
            raise Killed


async def killed(batch: BatchRig, service: BatchService, steps: Steps) -> bool:
    """Makes a call that is killed at a step; returns whether it was."""
    folder = KilledFolder(batch.folder.root)
    object.__setattr__(folder, "steps", steps)  # it is frozen
    batch.folder, batch.service = folder, KilledService(service, steps)
    batch.around = lambda commits: KilledCommits(commits, steps)
    try:
        await batch.call()
    except Killed:
        return True
    except BaseExceptionGroup as group:
        assert group.subgroup(Killed) is not None
        return True
    return False


def a_batch(tmp_path: Path) -> BatchRig:
    tmp_path.mkdir(exist_ok=True)
    (tmp_path / "cat.png").write_bytes(b"a cat")
    (tmp_path / "in.csv").write_text("\n".join(("prompt,image", *ROWS)))
    return BatchRig.at(tmp_path, tmp_path / "in.csv")


async def is_whole(tmp_path: Path, service: BatchService) -> None:
    """Makes a call to the end, and checks all."""
    batch = a_batch(tmp_path)
    batch.service = service
    totals = await batch.call()
    assert totals.states == {State.DONE: 3}
    assert totals.charged == {"USD": 3 * PRICE}
    assert (len(service.jobs), service.paid) == (3, 3 * PRICE)
    assert set(batch.videos()) == {"one-0.mp4", "two-0.mp4", "three-0.mp4"}
    assert all(service._video(job.spec) in batch.videos().values() for job in service.jobs.values())
    assert list(batch.folder.parts.iterdir()) == []


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("at_once", [1, 3])
async def test_a_batch_that_is_killed_at_each_of_its_steps_is_made_once(
    tmp_path: Path, at_once: int, after: bool
) -> None:
    for step in range(1, 100):
        service, folder = BatchService(), tmp_path / str(step)
        batch = a_batch(folder)
        batch.at_once = at_once
        was_killed = await killed(batch, service, Steps(step, after))
        await is_whole(folder, service)
        if not was_killed:
            assert step > 20
            return
    raise AssertionError("a batch of three rows has no hundred steps")


@settings(max_examples=12)
@given(kills=st.lists(st.tuples(st.integers(1, 30), st.booleans()), min_size=2, max_size=5))
async def test_a_batch_that_is_killed_again_and_again_is_made_once(
    tmp_path_factory: pytest.TempPathFactory, kills: list[tuple[int, bool]]
) -> None:
    folder, service = tmp_path_factory.mktemp("batch"), BatchService()
    for step, after in kills:
        await killed(a_batch(folder), service, Steps(step, after))
    await is_whole(folder, service)


class FullFolder(BatchFolder):
    """A disk that has room for one video."""

    def put(self, part: Path, name: str) -> None:
        if any(file.suffix == ".mp4" for file in self.root.iterdir()):
            raise OSError(errno.ENOSPC, "No space left on device", name)
        super().put(part, name)


async def test_a_full_disk_stops_the_batch_and_what_was_paid_for_is_fetched_later(tmp_path: Path) -> None:
    batch = a_batch(tmp_path)
    batch.folder, batch.at_once = FullFolder(batch.folder.root), 1
    await batch.call()
    assert isinstance(batch.stopped_by, OSError) and batch.stopped_by.errno == errno.ENOSPC
    assert len(batch.service.jobs) == 2
    await is_whole(tmp_path, batch.service)


async def test_a_journal_that_cannot_be_written_pays_for_nothing_more(tmp_path: Path) -> None:
    batch = a_batch(tmp_path)
    batch.at_once = 1

    class Full:
        """A disk that has no room for the journal after some changes, as SQLite says it."""

        def __init__(self, commits: Any) -> None:
            self.commits, self.database, self.left = commits, commits._journal.database, 4

        def _grow(self, change: Callable[[], Result]) -> Callable[[], Result]:
            def grown() -> Result:
                self.left -= 1
                if self.left <= 0:
                    self.database.execute("PRAGMA max_page_count = 1")
                    self.database.execute("INSERT INTO meta VALUES ('much', zeroblob(1000000))")
                return change()

            return grown

        async def make(self, change: Callable[[], Result]) -> Result:
            return await self.commits.make(self._grow(change))

        def soon(self, change: Callable[[], Any]) -> None:
            self.commits.soon(self._grow(change))

    batch.around = Full
    (tmp_path / "in.csv").write_text("prompt\n" + "\n".join(f"wave {row}" for row in range(60)))
    with pytest.raises(OSError, match="full") as caught:
        await batch.call()
    assert isinstance(batch.stopped_by, OSError) and caught.value.errno == errno.ENOSPC
    paid = batch.service.paid
    batch.around = lambda commits: commits
    totals = await batch.call()
    assert totals.of(State.DONE) == 60
    assert (paid <= 4 * PRICE, batch.service.paid) == (True, 60 * PRICE)
