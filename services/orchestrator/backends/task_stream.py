"""A task as a stream to a provider: its header, then the bytes of its inputs, which are never completely in memory."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack, suppress

from i2v.provider.v1 import provider_pb2

from services.orchestrator.domain.spec import ImageToVideo, SceneAnimation
from services.orchestrator.ports.backend import GenerationRequest, Input

CHUNK_BYTES = 256 * 1024
ROLES = {
    "image": provider_pb2.Input.IMAGE,
    "audio": provider_pb2.Input.AUDIO,
    "mask": provider_pb2.Input.MASK,
}


class TaskStream:
    """The messages of one Generate. All files of the inputs are opened first, so that a shortage shows before it."""

    def __init__(self, attempt: GenerationRequest, model: str, files: ExitStack) -> None:
        """`files` closes them. Raises OSError."""
        self._task = _task(attempt, model)
        self._inputs = [(given, files.enter_context(given.path.open("rb"))) for given in attempt.inputs]
        self.obstacle: Exception | None = None
        """Why not everything was sent; None after the last byte."""

    async def messages(self) -> AsyncIterator[provider_pb2.GenerateRequest]:
        """Yields them; the files are not needed afterwards."""
        try:
            yield provider_pb2.GenerateRequest(task=self._task)
            for given, file in self._inputs:
                left = given.size_bytes
                while left and (data := await asyncio.to_thread(file.read, min(left, CHUNK_BYTES))):
                    left -= len(data)
                    yield provider_pb2.GenerateRequest(chunk=provider_pb2.InputChunk(data=data))
                file.close()
                with suppress(OSError):
                    given.path.unlink()
        except Exception as error:
            self.obstacle = error
            raise


def _task(attempt: GenerationRequest, model: str) -> provider_pb2.Task:
    spec, operation, remote = attempt.spec, attempt.spec.operation, attempt.card.remote
    assert remote is not None
    task = provider_pb2.Task(
        submission_id=attempt.submission_id,
        model=model,
        prompt=attempt.prompt,
        resolution=spec.resolution,
        seed=spec.seed,
        inputs=[_input(given) for given in attempt.inputs],
    )
    if attempt.card.durations_ms:  # else the audio decides
        task.duration_s = (spec.duration_ms or 0) // 1000
    if attempt.negative_prompt is not None:
        task.negative_prompt = attempt.negative_prompt
    if isinstance(operation, ImageToVideo | SceneAnimation) and operation.guidance_scale is not None:
        task.guidance_scale = operation.guidance_scale
    if isinstance(operation, ImageToVideo) and operation.prompt_expansion is not None:
        task.prompt_expansion = operation.prompt_expansion
    return task


def _input(given: Input) -> provider_pb2.Input:
    return provider_pb2.Input(
        role=ROLES[given.role], media_type=given.media_type, size_bytes=given.size_bytes, sha256=given.sha256
    )
