"""The bidirectional pipeline: all latents of a video at once, from noise to clean, guided by prompt and picture.

The transformer's input has 20 channels in addition to the noisy latents: a mask, which is 1 where the video is given,
and the latents of a clip that shows the picture and then mid-grey. With classifier-free guidance each step takes two
forwards, over the prompt and over the negative prompt, and the flow is extrapolated from the second past the first.
Plain numpy over a `Denoiser`, which computes the forwards; independent of Triton.

The computation is that of Wan2.1 (https://github.com/Wan-Video/Wan2.1, `wan/image2video.py`): its order of channels,
its mask, its guidance and its solver; the noise is ours.
"""

from collections.abc import Callable, Generator
from contextlib import closing

import numpy as np
from bidirectional_denoiser import Denoiser
from generation_request import (
    BadRequest,
    Block,
    Floats,
    Request,
    check_arrays,
    check_size_and_seed,
    history_frames,
    noise,
)
from position_and_time import MAX_FRAMES
from unipc_solver import UniPC, schedule

MASK = 4
"""Channels of the mask: one for each frame that a latent frame stands for, as Wan2.1 has it."""


class Diffusion:
    """Makes videos with one profile's transformer. Thread-safe: each video has buffers of its own."""

    def __init__(self, denoiser: Denoiser) -> None:
        """
        Raises:
            ValueError: the profile's transformer does not take a mask and a picture's latents.
        """
        settings = denoiser.settings
        if settings.condition_channels != MASK + settings.channels:
            raise ValueError(
                f"condition_channels must be {MASK} + {settings.channels}, mask and picture, "
                f"not {settings.condition_channels}"
            )
        self.settings = settings
        self.max_latents = min(settings.max_latents, MAX_FRAMES)
        self.schedule = schedule(settings.steps, settings.shift)
        """May be replaced by another grid."""
        self._denoiser = denoiser

    @property
    def cache_bytes(self) -> int:
        """What is kept from video to video: nothing."""
        return 0

    @property
    def guided(self) -> bool:
        """Whether each step takes a second forward, over `negative_embeddings`."""
        return self.settings.guidance > 1

    def check(self, request: Request) -> None:
        """Raises BadRequest for what cannot be served; costs nothing."""
        settings, frames = self.settings, request.latent_frames
        height, width = request.latent_size
        check_size_and_seed(request)
        if not 1 <= frames <= self.max_latents:
            raise BadRequest(f"latent_frames must be from 1 to {self.max_latents}, not {frames}")
        for name, given, wanted, without in (
            ("image_latent", request.image_latent, True, ""),
            ("image_tokens", request.image_tokens, settings.image_tokens > 0, "does not attend to a picture"),
            ("negative_embeddings", request.negative_embeddings, self.guided, "has no guidance"),
        ):
            if wanted and given is None:
                raise BadRequest(f"{name} must be given: this profile makes no video without it")
            if not wanted and given is not None:
                raise BadRequest(f"{name} must be absent: this profile {without}")
        made = history_frames(request)
        check_arrays(
            prompt_embeddings=(request.prompt_embeddings, settings.prompt_shape),
            negative_embeddings=(request.negative_embeddings, settings.prompt_shape),
            image_tokens=(request.image_tokens, settings.image_shape),
            image_latent=(request.image_latent, (1, settings.channels, frames, height, width)),
            history=(request.history, (1, settings.channels, made, height, width)),
        )
        if made not in {0, frames}:
            raise BadRequest(f"history must hold all {frames} latent frames or none: they are made together")

    def blocks(
        self,
        request: Request,
        cancelled: Callable[[], bool] = lambda: False,
        count: Callable[[int], object] = lambda forwards: None,
    ) -> Generator[Block, None, None]:
        """Yields one block, the whole video, at the end; before it, after every step, one without frames for progress.

        The same request gives the same bytes, whatever runs before it or at the same time. `cancelled` is called
        before every forward, of which a step may have two, and the iteration ends when it returns true; `count` is
        called with 1 after every forward.

        Raises:
            BadRequest: before any work.
            OutOfMemory: there is no memory for this video.
        """
        self.check(request)
        if request.history is not None and request.history.shape[2]:
            return
        assert request.image_latent is not None  # checked before
        settings, frames = self.settings, request.latent_frames
        given = (request.prompt_embeddings, request.negative_embeddings)
        prompts = [each for each in given if each is not None]
        condition = np.concatenate((mask(request.image_latent), request.image_latent), axis=1)
        solver = UniPC(self.schedule.sigmas)
        latents = noise(request.seed, 0, frames, 0, settings.channels, request.latent_size).astype(np.float64)
        forwards, total = 0, len(prompts) * len(self.schedule.timesteps)
        video = self._denoiser.video(prompts, request.image_tokens, (frames, *request.latent_size))
        try:
            for timestep in self.schedule.timesteps:
                read = np.concatenate((latents.astype(np.float32), condition), axis=1)
                flows: list[Floats] = []
                for prompt in range(len(prompts)):
                    if cancelled():
                        return
                    flows.append(video.forward(prompt, read, timestep))
                    forwards += 1
                    count(1)
                latents = solver.step(latents, guided_flow(flows, settings.guidance))
                made = frames if forwards == total else 0
                yield Block(latents[:, :, :made].astype(np.float32), 0, forwards, total)
        finally:
            video.end()

    def warm_up(self) -> None:
        """Takes one step of a longest video, so that the first request does not pay for what is done once a size."""
        settings, size, frames = self.settings, self.settings.warm_up_size, self.max_latents
        prompt = np.zeros(settings.prompt_shape, np.float32)
        request = Request(
            prompt_embeddings=prompt,
            negative_embeddings=prompt if self.guided else None,
            image_tokens=np.zeros(settings.image_shape, np.float32) if settings.image_tokens else None,
            image_latent=np.zeros((1, settings.channels, frames, *size), np.float32),
            latent_size=size,
            latent_frames=frames,
            seed=0,
        )
        with closing(self.blocks(request)) as blocks:
            next(blocks)


def mask(image_latent: Floats) -> Floats:
    """The channels that say which frames are given, FP32 (1, 4, F, h, w): all that latent frame 0 stands for.

    Frame 0 of the clip is given, and stands in its latent frame four times; no other is.
    """
    _, _, frames, height, width = image_latent.shape
    made = np.zeros((1, MASK, frames, height, width), np.float32)
    made[:, :, 0] = 1
    return made


def guided_flow(flows: list[Floats], guidance: float) -> Floats:
    """The flow of the prompt or, by classifier-free guidance, extrapolated away from that of the negative prompt."""
    if len(flows) == 1:
        return flows[0]
    positive, negative = flows
    return negative + np.float32(guidance) * (positive - negative)
