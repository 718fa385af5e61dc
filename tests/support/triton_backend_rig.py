"""The pipeline over a scripted Triton: its card, its specs, and the events of a job."""

import hashlib
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from services.orchestrator.backends.triton_backend import TritonBackend
from services.orchestrator.domain.card import EngineNeeds, ModelCard
from services.orchestrator.domain.spec import ImageToVideo, Size, Spec, TextToVideo
from services.orchestrator.ports.backend import AttemptFailed, BackendEvent, GenerationRequest
from tests.support import pictures
from tests.support.builders import a_card
from tests.support.scripted_triton import ScriptedTriton, serving

PICTURE = pictures.a_picture(64, 64)


@dataclass
class TritonRig:
    """A backend, and the folder in which it works."""

    backend: TritonBackend
    workdir: Path

    async def events(self, spec: Spec, card: ModelCard, number: int = 1, *given: bytes) -> list[BackendEvent]:
        picture = PICTURE if isinstance(spec.operation, ImageToVideo) else None
        attempt = GenerationRequest("job", number, spec, card, picture, self.workdir, tuple(given))
        async with aclosing(self.backend.generate(attempt)) as happenings:
            return [happening async for happening in happenings]

    def video(self) -> str:
        return hashlib.sha256((self.workdir / "video.mp4").read_bytes()).hexdigest()


@asynccontextmanager
async def a_triton_rig(triton: ScriptedTriton, workdir: Path, **limits: Any) -> AsyncIterator[TritonRig]:
    """Yields a backend for `the_card` over the scripted Triton; `limits` are arguments of the backend."""
    async with serving(triton) as address:
        backend = TritonBackend(address, lambda: [the_card()], **limits)
        yield TritonRig(backend, workdir)
        await backend.close()


def the_card(**changes: Any) -> ModelCard:
    values = {"id": "tiny", "backend": "triton", "sizes": (Size(32, 32),), "fps": 16, "extra_frames": 1}
    return a_card(**values | {"engine": EngineNeeds("tiny")} | changes)


def a_spec(card: ModelCard | None = None, *, text: bool = False, **changes: Any) -> Spec:
    operation = TextToVideo("waves") if text else ImageToVideo("a" * 64, "it moves")
    spec = (card or the_card()).complete(Spec("tiny", operation, seed=7), seed=None, picture=None)
    return replace(spec, **changes)


def of(kind: type, events: list[BackendEvent]) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]


def failure(caught: pytest.ExceptionInfo[AttemptFailed]) -> tuple[str, bool]:
    return caught.value.error.reason, caught.value.error.retryable
