"""A batch in a folder, with a service in memory."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from i2v_client.errors import I2VError
from services.client.batch import plan
from services.client.batch.batch_folder import BatchFolder
from services.client.batch.commits import Commits, SharedCommits
from services.client.batch.job_options import JobOptions
from services.client.batch.journal import Journal, Totals
from services.client.batch.maker import Made, Maker
from services.client.batch.pictures import Pictures
from services.client.batch.run import run
from services.client.batch.sources import Source
from tests.support.batch_service import BatchService

OPTIONS = JobOptions(model="test-model")
NAMING = plan.Naming(samples=1, seed=0, with_index=False, options=OPTIONS.text())


@dataclass
class BatchRig:
    """Calls the parts of `i2v batch` as the command does."""

    source: Source
    folder: BatchFolder
    service: Any = field(default_factory=BatchService)
    naming: plan.Naming = NAMING
    at_once: int = 4
    around: Callable[[Commits], Commits] = lambda commits: commits
    """Stands around the commits, to count or to kill."""
    made: list[Made] = field(default_factory=list)
    stopped_by: I2VError | OSError | None = None

    @classmethod
    def at(cls, folder: Path, input_file: Path, **more: Any) -> "BatchRig":
        return cls(Source(input_file), BatchFolder(folder / "videos"), **more)

    async def call(self, *, accept_changes: bool = False, stop: asyncio.Event | None = None) -> Totals:
        """Makes one whole call."""
        self.made = []
        with self.folder.locked(), Journal(self.folder.journal) as journal:
            plan.read(self.source, journal, self.folder, self.naming, accept_changes=accept_changes)
            shared = SharedCommits(journal)
            commits = self.around(shared)
            pictures = Pictures(self.source.root, self.service, journal, commits)
            maker = Maker(
                *(self.service, journal, commits, self.folder, pictures, OPTIONS, stop or asyncio.Event()),
                on_outage=lambda error: None,
            )
            try:
                self.stopped_by = await run(maker, self.at_once, self.made.append)
                await commits.make(journal.totals)
            finally:
                await shared.close()
            return journal.totals()

    def videos(self) -> dict[str, bytes]:
        """The files in the folder, by name."""
        return {file.name: file.read_bytes() for file in self.folder.root.iterdir() if file.is_file()}
