"""What stops a batch, what it waits for, and to whom a journal belongs."""

import asyncio
import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest

from i2v_client.errors import Busy, I2VError, QuotaExceeded, Unauthenticated, Unreachable
from i2v_client.failure import Failure, LimitViolation
from services.client.batch.commits import SharedCommits
from services.client.batch.item import State
from services.client.batch.journal import Journal
from services.client.batch.pictures import Pictures
from services.client.batch.plan import read
from services.client.batch.prices import prices
from services.client.batch.row import BadInput
from services.client.batch.same_server import demand_same_server
from tests.support.batch_rig import OPTIONS, BatchRig
from tests.support.batch_service import PRICE, BatchService
from tests.support.pictures import a_picture

Code = grpc.StatusCode


def a_limit(measure: str, per: str, *, limit: int = 2, asked: int = 1) -> QuotaExceeded:
    values: dict[str, Any] = {"subject": "user", "plan": "free", "used": limit, "resets_at": None}
    violation = LimitViolation(
        measure=measure, per=per, limit=limit, asked=asked, description="Full.", reason="FULL", **values
    )
    failure = Failure(Code.RESOURCE_EXHAUSTED, "Full.", "FULL", limits=(violation,), retry_after_s=0.01)
    return QuotaExceeded(failure)


BUSY = Busy(Failure(Code.RESOURCE_EXHAUSTED, "Busy.", "QUEUE_LIMIT_REACHED", retry_after_s=0.01))


@dataclass
class Refusing(BatchService):
    """Refuses submissions."""

    refuses: list[I2VError] = field(default_factory=list)
    most_at_once: int = 0
    _at_once: int = 0

    async def submit(self, spec: Any, request_id: str | None = None) -> Any:
        if self.refuses:
            raise self.refuses.pop(0)
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        await asyncio.sleep(0)
        self._at_once -= 1
        return await super().submit(spec, request_id)


@pytest.fixture
def batch(tmp_path: Path) -> BatchRig:
    (tmp_path / "in.txt").write_text("one\ntwo\nthree\nfour\n")
    return BatchRig.at(tmp_path, tmp_path / "in.txt", service=Refusing(), at_once=2)


@pytest.mark.parametrize("error", [a_limit("unfinished", "at-a-time"), a_limit("queued:model=nano", "at-a-time"), BUSY])
async def test_a_place_for_a_job_is_waited_for(batch: BatchRig, error: I2VError) -> None:
    batch.service.refuses = [error] * 3
    assert (await batch.call()).of(State.DONE) == 4
    assert batch.stopped_by is None and batch.service.most_at_once <= 2


@pytest.mark.parametrize(
    "error",
    [
        a_limit("spend", "month"),
        a_limit("jobs", "day"),
        a_limit("stored", "at-a-time"),
        a_limit("unfinished", "at-a-time", limit=0),
        Unauthenticated(Failure(Code.UNAUTHENTICATED, "Revoked.", "API_KEY_REVOKED")),
        Unreachable(Failure(Code.UNAVAILABLE, "Gone.")),
    ],
    ids=lambda error: error.limits[0].measure if error.limits else type(error).__name__,
)
async def test_what_holds_for_all_rows_stops_the_batch(batch: BatchRig, error: I2VError) -> None:
    batch.at_once, batch.service.refuses = 1, [error]
    totals = await batch.call()
    assert batch.stopped_by is error and totals.of(State.INTENDED, State.PLANNED) == 4
    assert (await batch.call()).of(State.DONE) == 4
    assert batch.service.paid == 4 * PRICE


async def test_an_error_of_the_service_leaves_one_row_for_the_next_call(batch: BatchRig) -> None:
    batch.service.refuses = [I2VError(Failure(Code.INTERNAL, "It broke.", "INTERNAL"))]
    assert (await batch.call()).states == {State.DONE: 3, State.INTENDED: 1}
    assert (await batch.call()).states == {State.DONE: 4}


async def test_nothing_is_submitted_after_a_stop(batch: BatchRig) -> None:
    stop = asyncio.Event()
    stop.set()
    await batch.call(stop=stop)
    assert batch.service.paid == 0


async def test_a_journal_belongs_to_the_server_that_knows_its_jobs(batch: BatchRig) -> None:
    await batch.call()
    with Journal(batch.folder.journal) as journal:
        await demand_same_server(journal, batch.service, "one:1", "ann")
        await demand_same_server(journal, batch.service, "moved:1", "ann")
        with pytest.raises(BadInput, match="another server, key or user"):
            await demand_same_server(journal, BatchService(), "moved:1", "ann")
        other = BatchService()
        other.jobs = {f"other-{name}": job for name, job in batch.service.jobs.items()}
        for number, job in enumerate(other.jobs.values()):
            job.request_id = f"other-{number}"
        with pytest.raises(BadInput, match="another server, key or user"):
            await demand_same_server(journal, other, "moved:1", "ann")


async def test_a_submission_without_an_answer_is_not_sent_to_another_server(batch: BatchRig) -> None:
    batch.at_once, batch.service.refuses = 1, [Unreachable(Failure(Code.UNAVAILABLE, "Gone."))]
    with batch.folder.locked(), Journal(batch.folder.journal) as journal:
        await demand_same_server(journal, batch.service, "one:1", "ann")
    await batch.call()
    with Journal(batch.folder.journal) as journal:
        for server, user in (("two:1", "ann"), ("one:1", "bob")):
            with pytest.raises(BadInput, match="without an answer"):
                await demand_same_server(journal, batch.service, server, user)
        await demand_same_server(journal, batch.service, "one:1", "ann")


async def test_prices_are_asked_for_in_pages_that_the_service_takes(batch: BatchRig) -> None:
    prompts = [*(f"wave {row}" for row in range(250)), *("x" * 20_000 + str(row) for row in range(100))]
    batch.source.path.write_text("\n".join(prompts))
    with batch.folder.locked(), Journal(batch.folder.journal) as journal:
        read(batch.source, journal, batch.folder, batch.naming)
        commits = SharedCommits(journal)
        pictures = Pictures(batch.source.root, batch.service, journal, commits)
        found = await prices(batch.service, journal, pictures, OPTIONS, lambda row, why: None)
        await commits.close()
    assert (found.videos, found.micros) == (350, {"USD": 350 * PRICE})
    assert batch.service.specs_seen[:2] == [100, 100]
    assert max(batch.service.bytes_seen) < 1_000_000 and sum(batch.service.specs_seen) == 350
    assert batch.service.paid == 0


def test_the_journal_of_another_version_is_named_so(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite3"
    with closing(sqlite3.connect(path)) as other:
        other.executescript(
            "CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);"
            "INSERT INTO meta VALUES ('version', '2'); CREATE TABLE items (id INTEGER PRIMARY KEY, run INTEGER)"
        )
    with pytest.raises(BadInput, match="another version of this program"), Journal(path):
        pass


async def test_a_picture_that_is_cut_off_stops_no_other_row(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    whole = a_picture(512, 512, form="JPEG")
    (tmp_path / "set" / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "set" / "whole.jpg").write_bytes(whole)
    info = tmp_path / "target_crop_info_set.json"
    rows = [
        {"file_name": name, "caption": name, "target_crop": {"target_bbox": [0, 0, 512, 512]}}
        for name in ("cut.jpg", "whole.jpg")
    ]
    info.write_text(json.dumps(rows))
    batch = BatchRig.at(tmp_path, info)
    totals = await batch.call()
    assert (batch.stopped_by, totals.of(State.DONE)) == (None, 1)
    why = "the picture cut.jpg cannot be read: it is cut off, or broken"
    assert sorted(each.problem for each in batch.made) == ["", why]
