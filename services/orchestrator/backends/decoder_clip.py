"""A clip: one video on its way through the decoder, which keeps its feature cache as long as the sequence lasts."""

import asyncio
import hashlib
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from typing import Any

import numpy as np

from services.errors import Unavailable
from services.orchestrator.backends.stream_requests import Requests
from services.orchestrator.backends.triton_client import Array, EngineRefused, TritonClient, request

PIECE = 3
"""Latent frames that are decoded at a time, at most: what is shown soon, and what fits into memory."""
STALL_S = 300.0
"""Longest silence while pieces wait for their frames: minutes above what a piece takes, with other clips before it."""
GIVE_UP_S, GIVE_UP_AGAIN_S = 3.0, 0.05


def clip_number(job_id: str, attempt: int) -> int:
    """Returns the number of an attempt's clip, which no other has."""
    digest = hashlib.sha256(f"{job_id}:{attempt}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1 or 1  # Triton takes a positive signed number


def probe_request(model: str, number: int = 1) -> Any:
    """Returns a request that a decoder refuses immediately; `number` is not a clip's. See TritonClient.probe_model."""
    nothing = np.zeros((1, 1, 0, 1, 1), np.float32)
    return request(model, {"latents": nothing}, sequence_id=number, sequence_start=True, sequence_end=True)


class DecoderClip:
    """Latents go in by `send`, frames come out of `frames`, each in order."""

    def __init__(
        self, engine: TritonClient, model: str, number: int, latents: int, *, stall_s: float = STALL_S
    ) -> None:
        """`number` identifies the sequence and must be unique; `latents` is the total number of latent frames."""
        self._engine = engine
        self._stall_s = stall_s
        self._model = model
        self._number = number
        self._latents = latents
        self._requests = Requests()
        self._held: Array | None = None
        self._last: Array | None = None
        self._waiting: deque[float] = deque()
        """When each piece that has no frames yet was sent, in seconds of the loop's clock."""
        self.sent = 0
        """Latent frames so far."""
        self.took_s = 0.0
        """The decoder's time for the newest frames, without the wait for their latents."""

    def send(self, latents: Array) -> None:
        """Decodes the next (1, C, f, h, w) latents, in pieces that depend on nothing but the order of the calls.

        Latent frame 0 alone goes with what follows: one frame is not worth a fragment, and the decoder, which holds
        few clips, does not hold this one while the transformer is busy with others.
        """
        for at in range(0, latents.shape[2], PIECE):
            piece = latents[:, :, at : at + PIECE]
            self.sent += piece.shape[2]
            if self.sent == 1 < self._latents:
                self._held = piece
                continue
            if self._held is not None:
                piece, self._held = np.concatenate((self._held, piece), axis=2), None
            start, self._last = self._last is None, piece
            end = self.sent == self._latents
            self._waiting.append(asyncio.get_running_loop().time())
            self._requests.send(
                request(
                    self._model, {"latents": piece}, sequence_id=self._number, sequence_start=start, sequence_end=end
                )
            )

    async def frames(self) -> AsyncGenerator[Array, None]:
        """Yields (F, H, W, 3) uint8 frames, piece by piece, until it is closed. Raises as TritonClient.stream."""
        stream = self._engine.stream(
            self._requests, stall_s=self._stall_s, probe=lambda: probe_request(self._model, self._number ^ 1 or 2)
        )
        before = 0.0
        async with aclosing(stream) as answers:
            async for outputs, _ in answers:
                now = asyncio.get_running_loop().time()
                if self._waiting:
                    self.took_s = now - max(before, self._waiting.popleft())
                before = now
                yield outputs["frames"]

    async def give_up(self) -> None:
        """Ends a clip that will not be finished; if the decoder cannot be reached, it drops the clip by itself.

        Triton ends the sequence with the cancelled stream, without a word to the model, and answers emptily until that
        is done. So a new sequence of the same number, of nothing, is begun and ended until the model itself answers.
        """
        if self._last is None:
            return
        nothing = {"latents": self._last[:, :, :0]}
        with suppress(Unavailable, EngineRefused, TimeoutError):
            async with asyncio.timeout(GIVE_UP_S):
                acknowledged = False
                while not acknowledged:
                    goodbye = Requests()
                    goodbye.send(
                        request(self._model, nothing, sequence_id=self._number, sequence_start=True, sequence_end=True)
                    )
                    async with aclosing(self._engine.stream(goodbye)) as answers:
                        acknowledged = "frames" in (await anext(answers))[0]
                    await asyncio.sleep(GIVE_UP_AGAIN_S)
