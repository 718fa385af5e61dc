"""Rollouts over a KV cache, as the served model makes them, for training and its measurements."""

import torch
from diffusers import WanTransformer3DModel

from tools.export.profile import Schedule
from tools.nano.sequence_frames import Frames, after_cached
from tools.nano.transformer_forward import KeyValueCache, flow


@torch.no_grad()  # type: ignore[untyped-decorator]
def rollout(
    model: WanTransformer3DModel,
    schedule: Schedule,
    first: torch.Tensor,
    count: int,
    text: torch.Tensor,
    image: torch.Tensor | None,
) -> torch.Tensor:
    """Latent frames (B, count, C, h, w) made after the first, (B, 1, C, h, w), as the served model makes them."""
    cache, made = KeyValueCache(), [first]
    zeros = torch.zeros(first.shape[0], 1)

    def keep(latents: torch.Tensor, start: int) -> None:
        cache.keep = True
        flow(
            model,
            latents,
            zeros.expand(-1, latents.shape[1]),
            after_cached(start, latents.shape[1], cache.frames),
            text,
            image,
            cache,
        )
        cache.keep = False

    keep(first, 0)
    size = schedule.block_latents
    steps = schedule.warped(schedule.timesteps)
    for start in range(1, count, size):
        cache.forget(schedule.sink_latents, schedule.cache_latents - size)
        x = torch.randn_like(first.expand(-1, size, -1, -1, -1))
        for step, timestep in enumerate(steps):
            times = torch.full((first.shape[0], size), timestep)
            clean = x - timestep / 1000 * flow(
                model, x, times, after_cached(start, size, cache.frames), text, image, cache
            )
            if step + 1 < len(steps):
                sigma = steps[step + 1] / 1000
                x = (1 - sigma) * clean + sigma * torch.randn_like(x)
        made.append(clean)
        if start + size < count:
            keep(clean, start)
    return torch.cat(made, dim=1)


def own_past(
    model: WanTransformer3DModel,
    schedule: Schedule,
    past: torch.Tensor,
    frames: Frames,
    start: int,
    text: torch.Tensor,
    image: torch.Tensor | None,
) -> torch.Tensor:
    """The clean frames of a sequence, (B, clean, C, h, w), those from `start` on as the model makes them in one step.

    The frames before `start` are not changed.
    """
    cache, size, given = KeyValueCache(), schedule.block_latents, frames.indices.index(start)
    made = [past[:, :given]]
    count = past.shape[0]

    def keep(latents: torch.Tensor, first: int) -> None:
        cache.forget(schedule.sink_latents, schedule.cache_latents - size)
        cache.keep = True
        zeros = torch.zeros(count, latents.shape[1])
        flow(model, latents, zeros, after_cached(first, latents.shape[1], cache.frames), text, image, cache)
        cache.keep = False

    keep(past[:, : schedule.sink_latents], 0)
    for place in range(schedule.sink_latents, given, size):
        keep(past[:, place : place + size], frames.indices[place])
    for begin in range(start, start + frames.clean - given, size):
        cache.forget(schedule.sink_latents, schedule.cache_latents - size)
        noise = torch.randn_like(past[:, :size])
        times = torch.full((count, size), 1000.0)
        clean = noise - flow(model, noise, times, after_cached(begin, size, cache.frames), text, image, cache)
        made.append(clean)
        keep(clean, begin)
    return torch.cat(made, dim=1).float()
