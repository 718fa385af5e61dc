"""Two stores of a test, and a copy between them of which any step can be the last, or have something happen at it."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from services.errors import NotFound
from services.orchestrator.assets.blob_copy import BlobCopy, Outcome, Phase
from services.orchestrator.blobs.local import LocalBlobs
from services.orchestrator.blobs.moving import MovingBlobs
from services.orchestrator.ports.blobs import Blobs
from tests.support.killed_steps import Killed
from tests.support.old_jobs import Bytes
from tests.support.trash_rounds import TrashRig

FAST = 10**12
Happening = Callable[[], Awaitable[None]]


async def kill() -> None:
    raise Killed


class Steps:
    """Counts the steps of a copy: before and after each call of a port. At some of them something happens."""

    def __init__(self, happenings: Mapping[int, Happening]) -> None:
        self.number = 0
        self._happenings = happenings

    async def take(self) -> None:
        self.number += 1
        if happening := self._happenings.get(self.number):
            await happening()


class Stepping:
    """A port whose async methods are steps."""

    def __init__(self, port: Any, steps: Steps) -> None:
        self._port, self._steps = port, steps

    def __getattr__(self, name: str) -> Any:
        async def call(*arguments: Any, **named: Any) -> Any:
            await self._steps.take()
            result = await getattr(self._port, name)(*arguments, **named)
            await self._steps.take()
            return result

        return call

    async def read(self, key: str) -> AsyncIterator[bytes]:
        await self._steps.take()
        async for chunk in self._port.read(key):
            yield chunk
            await self._steps.take()


def moving_bytes(folder: Path, new: Blobs | None = None) -> Bytes:
    """Returns what is stored in two stores between which blobs move: in folders, unless a new one is given."""
    stored: Any = Bytes(folder)
    stored.blobs = MovingBlobs(new or LocalBlobs(folder / "new"), LocalBlobs(folder / "old"))
    return stored  # type: ignore[no-any-return]


def old_rig(rig: TrashRig) -> TrashRig:
    """Returns the rig of a process that was started before the new store was set."""
    stored: Any = Bytes(rig.folder)
    stored.blobs = rig.stored.blobs.old  # type: ignore[attr-defined]
    return TrashRig(rig.store, stored, rig.clock, rig.folder)


def a_copy(rig: TrashRig, steps: Steps | None = None) -> BlobCopy:
    """Returns the copy between the stores of a rig, one blob at a time."""
    blobs, store = rig.stored.blobs, rig.store
    ports: tuple[Any, ...] = (blobs.new, blobs.old, store.blob_removals)  # type: ignore[attr-defined]
    if steps is not None:
        ports = tuple(Stepping(port, steps) for port in ports)
    return BlobCopy(*ports, store.blob_references, rig.clock, rig.folder, at_once=1)


async def outcomes(copy: BlobCopy, *, dry_run: bool = False) -> list[tuple[str, Outcome]]:
    """Runs a copy to its end. Returns the keys and what became of them."""
    run = copy.run(Phase.COPYING, "", bytes_per_second=FAST, dry_run=dry_run)
    return [(step.key, step.outcome) async for step in run if step.outcome is not None]


async def copy_with(rig: TrashRig, happenings: Mapping[int, Happening]) -> int:
    """Runs a copy in which something happens at some steps. Returns the number of steps."""
    steps = Steps(happenings)
    with suppress(Killed):
        await outcomes(a_copy(rig, steps))
    return steps.number


async def delete_for_good(rig: TrashRig, key: Any) -> None:
    """Deletes an entry, and what no entry needs, as if days pass at that moment."""
    try:
        await rig.store.trash.purge(key, rig.clock.now())
    except NotFound:
        return
    rig.clock.advance(2 * 86_400)
    await rig.collect()
