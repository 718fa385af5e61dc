"""The loss that trains the transformer, and with it the picture's encoder, for rollouts over a KV cache.

A sequence has the frames of a clip twice: clean, as the cache will hold them, then some blocks with noise, each of
which attends to the past frames that the cache would hold (the sink and a window) and to itself. So every block of a
sequence is trained under the conditions of a rollout, with its own noise level (diffusion forcing,
https://arxiv.org/abs/2407.01392, with the clean past of teacher forcing).
"""

from collections.abc import Iterable, Mapping

import numpy as np
import torch
from diffusers import WanTransformer3DModel
from torch import nn

from tools.export.profile import Schedule
from tools.nano.sequence_frames import Frames
from tools.nano.transformer_forward import flow


def noise_levels(rng: np.random.Generator, schedule: Schedule, shape: tuple[int, int]) -> torch.Tensor:
    """Timesteps for blocks, (B, blocks): about half of them those of the rollout, the others between."""
    steps = np.array(schedule.warped(schedule.timesteps))
    u = rng.random(shape)
    between = 1000 * schedule.shift * u / (1 + (schedule.shift - 1) * u)
    return torch.from_numpy(np.where(rng.random(shape) < 0.6, rng.choice(steps, shape), between)).float()


def flow_loss(
    model: WanTransformer3DModel,
    schedule: Schedule,
    rng: np.random.Generator,
    clean: torch.Tensor,
    past: torch.Tensor,
    frames: Frames,
    text: torch.Tensor,
    image: torch.Tensor | None,
) -> Mapping[str, torch.Tensor]:
    """Flow matching: `clean` (B, noisy, C, h, w) are the frames to make, `past` (B, clean, C, h, w) those before."""
    count, size = clean.shape[0], min(schedule.block_latents, frames.noisy)
    timesteps = noise_levels(rng, schedule, (count, frames.noisy // size)).repeat_interleave(size, dim=1)
    sigma = (timesteps / 1000).view(count, -1, 1, 1, 1)
    noise = torch.randn_like(clean)
    latents = torch.cat((past, (1 - sigma) * clean + sigma * noise), dim=1)
    predicted = flow(model, latents, torch.cat((torch.zeros(count, frames.clean), timesteps), 1), frames, text, image)
    error = (predicted - (noise - clean)).square()
    first = (error.detach() * sigma.square()).mean()  # the error of the clean latents
    return {"loss": error.mean(), "clean": first}


def bias_free(model: WanTransformer3DModel) -> None:
    """Sets biases to zero, so that padding, which is zero, has no effect: it is most of a prompt."""
    embedder = model.condition_embedder
    for linear in (embedder.text_embedder.linear_1, embedder.text_embedder.linear_2, *values(model)):
        nn.init.zeros_(linear.bias)


def values(model: WanTransformer3DModel) -> Iterable[nn.Linear]:
    """The projections to keys and values of the prompt."""
    for block in model.blocks:
        yield block.attn2.to_k
        yield block.attn2.to_v
