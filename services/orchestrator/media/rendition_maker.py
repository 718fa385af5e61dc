"""Makes renditions in child processes, in tenants' turns. The worst that a file can do is to have none."""

import os
from pathlib import Path
from typing import Any

from services.errors import Unavailable
from services.orchestrator.domain.media_info import AudioInfo, VideoInfo
from services.orchestrator.domain.rendition import Info, Recipe, Rendition, Variant
from services.orchestrator.media.fair_thread_pool import FairThreadPool
from services.orchestrator.media.sandbox import DecoderDied, Sandbox
from services.orchestrator.ports.renditions import Made, NotMade
from services.reasons import ServiceReason
from services.resource_shortage import shortage

LIMIT_S = 20.0
"""Of processor time: an hour of sound is decoded in less."""
AT_ONCE = 2

_sandbox = Sandbox("renditions", size=AT_ONCE, limit_s=LIMIT_S)


class SandboxedRenditions:
    """The RenditionMaker port, over a few children."""

    def __init__(self, sandbox: Sandbox = _sandbox) -> None:
        self._sandbox = sandbox
        self._turns = FairThreadPool(AT_ONCE, "renditions")

    async def make(self, recipe: Recipe, source: Path, info: Info, folder: Path, *, tenant: str) -> Made:
        """Makes the variants of a recipe, as files in `folder`. Raises NotMade, Unavailable."""
        return await self._turns.run(tenant, lambda: self._make(recipe, source, info, folder))

    def _make(self, recipe: Recipe, source: Path, info: Info, folder: Path) -> Made:
        target = folder / "made"
        with source.open("rb") as given, target.open("w+b") as taken:
            answer = self._ask(given.fileno(), taken.fileno(), _request(recipe, info))
            taken.seek(0)
            files = []
            for variant, media_type, size, width, height in answer["files"]:
                path = folder / str(variant)
                path.write_bytes(taken.read(size))
                files.append((Rendition(Variant(variant), media_type, size, width, height), path))
        return Made(tuple(files), answer["phash"])

    def _ask(self, source: int, target: int, request: dict[str, object]) -> dict[str, Any]:
        try:
            answer = self._sandbox.call(source, target, question=request)
        except DecoderDied as died:
            late = f"it takes more than {self._sandbox.limit_s:g} s of processor time"
            raise NotMade(late if died.out_of_time else "it crashes the decoder") from died
        if "memory" in answer:
            raise NotMade("it takes more than 1 GiB of memory")
        if "broken" in answer:
            raise NotMade("its data cannot be decoded")
        if "reason" in answer:
            raise NotMade(f"it {answer['description']}")
        if "unwritten" in answer:
            error = OSError(answer["unwritten"], os.strerror(int(str(answer["unwritten"]))))
            raise shortage(error) or Unavailable(
                "The rendition cannot be written. Try again.", reason=ServiceReason.SPOOL_UNAVAILABLE
            ) from error
        return answer


def _request(recipe: Recipe, info: Info) -> dict[str, object]:
    kind = info.media_type.partition("/")[0]
    asked: dict[str, object] = {"recipe": recipe, "kind": kind}
    if isinstance(info, VideoInfo):
        asked |= {"frames": info.frames, "duration_s": info.duration_s}
    if isinstance(info, AudioInfo):
        asked |= {"duration_s": info.duration_s}
    return asked
