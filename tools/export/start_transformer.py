"""How the untrained transformer starts: random numbers, with some set by hand so that a picture shows through them.

Nothing here is learned. One head of the first layer remembers what clean frames, the picture first of all, show at the
same place; the output is what is there now minus what is remembered, which is the flow from the one to the other. All
that is random only tints it: by prompt, picture and place. Training can begin from here.

The residual stream of a token holds, one after the other: its patch of latents (`now`), what head 0 remembers of it
(`past`), and the rest, over which a constant of alternating sign is spread, so that normalisation divides by nearly the
same number always; its last channel is the mark of a clean frame.
"""

import math
from dataclasses import dataclass

import torch
from diffusers import WanTransformer3DModel

CONSTANT = 2.5
"""The size of the constant; latents are about 1."""

PLACES = 3
"""Fastest rotary pairs of rows, and of columns, by which head 0 tells places apart."""

SHARPNESS = 5.0
"""Of its attention to the same place: at 5, a neighbour weighs a hundredth of it."""

CLEANNESS = 0.2
"""Of its attention to clean frames; what is noisy weighs next to nothing."""

RECALL = 1.4
"""How far a forward goes from the noisy latents to the remembered, over sigma; what stays of the noise flickers."""

QUIET = 0.3
"""How much of the random modulation by time stays."""

LOUD = 40.0
"""How much of the prompt gets in: untrained, cross-attention takes the mean of all tokens, and most are padding."""

CLEAN_RATE = 0.003
"""Of the time embedding: cos(CLEAN_RATE * t) is 1 at t = 0 and below 0 at every noisy t."""


@dataclass(frozen=True)
class Stream:
    """Which channels of the residual stream hold what, and what normalisation divides them by."""

    patch: int
    inner: int

    @property
    def now(self) -> slice:
        """The latents of the token."""
        return slice(0, self.patch)

    @property
    def past(self) -> slice:
        """What is remembered of them."""
        return slice(self.patch, 2 * self.patch)

    @property
    def both(self) -> slice:
        """All that makes the output."""
        return slice(0, 2 * self.patch)

    @property
    def mark(self) -> int:
        """Large in a clean frame, once the first layer has shifted it."""
        return self.inner - 1

    @property
    def constant(self) -> torch.Tensor:
        """The constant of mean zero, over all channels: (inner,)."""
        free = self.inner - 2 * self.patch
        return torch.cat((torch.zeros(2 * self.patch), CONSTANT * (1 - 2 * (torch.arange(free) % 2))))

    @property
    def scale(self) -> float:
        """What normalisation divides by, latents being about 1."""
        return math.sqrt((self.patch + float(self.constant.square().sum())) / self.inner)


def carry_frames(model: WanTransformer3DModel) -> None:
    """Sets the weights that make the model remember; the others stay as they were drawn.

    Raises:
        ValueError: the model is too narrow for it.
    """
    patch = math.prod(model.config.patch_size) * model.config.in_channels
    stream = Stream(patch, model.proj_out.in_features)
    if patch > model.config.attention_head_dim or 2 * patch >= stream.inner:
        raise ValueError(f"a head must hold a patch of {patch} numbers, and the stream more than two")
    with torch.no_grad():
        model.patch_embedding.weight.zero_()
        model.patch_embedding.weight.view(stream.inner, patch)[stream.now] = torch.eye(patch)
        model.patch_embedding.bias.copy_(stream.constant)
        keep_random_apart(model, stream)
        mark_clean(model, stream)
        remember(model, stream)
        compare(model, stream)


def keep_random_apart(model: WanTransformer3DModel, stream: Stream) -> None:
    """What is random writes to the rest of the stream alone, and padding says nothing."""
    for block in model.blocks:
        for out in (block.attn1.to_out[0], block.attn2.to_out[0], block.ffn.net[2]):
            out.weight[stream.both] = 0
            out.bias[stream.both] = 0
        block.scale_shift_table *= QUIET
        block.attn2.to_v.weight *= LOUD
        block.attn2.to_v.bias.zero_()
    embedder = model.condition_embedder
    embedder.text_embedder.linear_1.bias.zero_()
    embedder.text_embedder.linear_2.bias.zero_()
    embedder.time_proj.weight *= QUIET
    shift, scale = embedder.time_proj.weight.chunk(6)[:2], embedder.time_proj.bias.chunk(6)[:2]
    for rows in (*shift, *scale, *model.blocks[0].scale_shift_table[0, :2]):
        rows[stream.now] = 0  # the first layer sees the patch as it is


def mark_clean(model: WanTransformer3DModel, stream: Stream) -> None:
    """One unit of the time embedding is large at t = 0, else nothing; it shifts the mark before self-attention."""
    embedder, mark = model.condition_embedder, stream.mark
    into, out = embedder.time_embedder.linear_1, embedder.time_embedder.linear_2
    cosines = into.in_features // 2
    into.weight[mark] = 0
    into.weight[mark, round(-math.log(CLEAN_RATE) / math.log(10000) * cosines)] = 40
    into.bias[mark] = -32
    for silent in (stream.both, mark):  # the time embedding also shifts the output, which it must not tint
        out.weight[silent] = 0
        out.bias[silent] = 0
    out.weight[:, mark] = 0
    out.weight[mark, mark] = 1
    embedder.time_proj.weight[:, mark] = 0
    embedder.time_proj.weight[mark, mark] = 1


def remember(model: WanTransformer3DModel, stream: Stream) -> None:
    """Head 0 of the first layer: queries and keys alike at every token, so that only place and mark tell them apart."""
    first, head = model.blocks[0], model.config.attention_head_dim
    pairs, side = head // 2, head // 6
    frames = pairs - 2 * side
    places = [frames + axis * side + index for axis in (0, 1) for index in range(PLACES)]
    attention = first.attn1
    for projection, norm in ((attention.to_q, attention.norm_q), (attention.to_k, attention.norm_k)):
        projection.weight[:head] = 0
        projection.bias[:head] = 0
        projection.bias[[2 * pair for pair in places]] = 1
        norm.weight[:head] = SHARPNESS
    slowest = 2 * (frames - 1)  # hardly turns over a whole video, so it compares marks whatever the frames
    attention.to_q.bias[slowest] = 1
    attention.to_k.weight[slowest, stream.mark] = CLEANNESS
    value, out = attention.to_v, attention.to_out[0]
    value.weight[:head] = 0
    value.bias[:head] = 0
    value.weight[: stream.patch, stream.now] = torch.eye(stream.patch) * stream.scale
    out.weight[stream.past, : stream.patch] = torch.eye(stream.patch)
    first.scale_shift_table[0, 2, stream.past] = 1  # the gate of self-attention


def compare(model: WanTransformer3DModel, stream: Stream) -> None:
    """The flow: now minus past, and a random tint, the same all over a patch and blind to the constant."""
    channels = model.config.in_channels
    # A row of proj_out is (y, x, channel), a column of the patch (channel, y, x).
    straight = torch.eye(stream.patch)[torch.arange(stream.patch).view(channels, -1).T.flatten()]
    out = model.proj_out
    tint = out.weight.unflatten(0, (-1, channels)).mean(0)
    out.weight.copy_(tint.repeat(stream.patch // channels, 1))
    out.weight[:, stream.now] = straight * stream.scale * RECALL
    out.weight[:, stream.past] = -straight * stream.scale * RECALL
    constant = stream.constant / stream.constant.norm()
    out.weight -= torch.outer(out.weight @ constant, constant)
    out.bias.zero_()
    model.scale_shift_table.zero_()
