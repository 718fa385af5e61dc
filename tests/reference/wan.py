"""Wan2.1's transformer, written to be read: the whole sequence at once, without a cache or a library.

The formulas are those of the report (Wan Team, 2025, https://arxiv.org/abs/2503.20314) and of the authors' code
(https://github.com/Wan-Video/Wan2.1); what makes it causal, a timestep and a view of its own for each frame, is of
Self-Forcing (https://github.com/guandeh17/Self-Forcing). Parameters have the names of the published checkpoints.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm

EPSILON = 1e-6


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Of a Wan; the 1.3B has 16 channels, 12 heads of 128, 30 layers, 8960, 256, and a prompt of 4096."""

    channels: int = 16
    heads: int = 2
    head_width: int = 16
    layers: int = 2
    feed_forward: int = 48
    time_width: int = 32
    text_width: int = 24
    image_width: int = 0
    """Of the picture's tokens; 0: nothing attends to a picture."""

    @property
    def width(self) -> int:
        """Of a token."""
        return self.heads * self.head_width


class Wan(nn.Module):
    """Predicts the flow, noise minus clean, of every frame of a video."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        width, image = sizes.width, sizes.image_width
        self.sizes = sizes
        self.patch_embedding = nn.Conv3d(sizes.channels, width, kernel_size=(1, 2, 2), stride=(1, 2, 2))
        self.text_embedding = nn.Sequential(
            nn.Linear(sizes.text_width, width), nn.GELU(approximate="tanh"), nn.Linear(width, width)
        )
        self.time_embedding = nn.Sequential(nn.Linear(sizes.time_width, width), nn.SiLU(), nn.Linear(width, width))
        self.time_projection = nn.Sequential(nn.SiLU(), nn.Linear(width, 6 * width))
        self.blocks = nn.ModuleList(Block(sizes) for _ in range(sizes.layers))
        self.head = Head(sizes)
        self.img_emb = Picture(image, width) if image else None

    def forward(
        self, latents: Tensor, timesteps: Tensor, sees: Tensor, prompt: Tensor, picture: Tensor | None = None
    ) -> Tensor:
        """The flow, (1, C, F, h, w), of `latents`, (1, C, F, h, w).

        `timesteps` (F,) says how noisy each frame is, 0 to 1000; `sees` (F, F), which frames a frame's tokens attend
        to: one row for each attending frame. `prompt` (1, L, text_width); `picture` (1, T, image_width), or none.
        """
        x = self.patch_embedding(latents)  # (1, width, F, h/2, w/2)
        grid = x.shape[2:]
        x = x.flatten(2).transpose(1, 2)  # (1, tokens, width), frame after frame, row after row
        of_frame = torch.arange(grid[0]).repeat_interleave(grid[1] * grid[2])  # the frame of each token
        time = self.time_embedding(waves(timesteps, self.sizes.time_width).type_as(x))  # (F, width)
        modulation = self.time_projection(time).unflatten(1, (6, -1))  # (F, 6, width)
        turns = rotations(self.sizes.head_width, grid)
        text = self.text_embedding(prompt)
        shown = None if picture is None or self.img_emb is None else self.img_emb(picture)
        for block in self.blocks:
            x = block(x, modulation[of_frame], turns, sees[of_frame][:, of_frame], text, shown)
        x = self.head(x, time[of_frame])  # (1, tokens, 2 * 2 * C)
        x = x.unflatten(1, grid).unflatten(-1, (2, 2, -1))  # (1, F, h/2, w/2, 2, 2, C)
        return x.permute(0, 6, 1, 2, 4, 3, 5).flatten(5, 6).flatten(3, 4)


class Block(nn.Module):
    """Self-attention, cross-attention and a feed-forward net, the first and last shifted, scaled and gated by time."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        width = sizes.width
        self.self_attn = Attention(width, sizes.heads)
        self.norm3 = nn.LayerNorm(width, eps=EPSILON)
        self.cross_attn = Attention(width, sizes.heads, picture=sizes.image_width > 0)
        self.ffn = nn.Sequential(
            nn.Linear(width, sizes.feed_forward), nn.GELU(approximate="tanh"), nn.Linear(sizes.feed_forward, width)
        )
        self.modulation = nn.Parameter(torch.randn(1, 6, width) / math.sqrt(width))

    def forward(
        self, x: Tensor, modulation: Tensor, turns: Tensor, sees: Tensor, text: Tensor, picture: Tensor | None
    ) -> Tensor:
        shift, scale, gate, shift_after, scale_after, gate_after = (self.modulation + modulation).unbind(1)
        attention = self.self_attn
        y = normed(x) * (1 + scale) + shift
        queries = turned(attention.queries(y), turns)
        keys = turned(attention.keys(y), turns)
        x = x + gate * attention.o(attend(queries, keys, attention.values(y), sees))
        attention = self.cross_attn
        queries = attention.queries(self.norm3(x))
        y = attend(queries, attention.keys(text), attention.values(text))
        if picture is not None:
            y = y + attend(queries, attention.picture_keys(picture), attention.picture_values(picture))
        x = x + attention.o(y)
        return x + gate_after * self.ffn(normed(x) * (1 + scale_after) + shift_after)


class Attention(nn.Module):
    """The projections of an attention; queries and keys are normalised over all heads together."""

    def __init__(self, width: int, heads: int, *, picture: bool = False) -> None:
        super().__init__()
        self.heads = heads
        self.q, self.k, self.v, self.o = (nn.Linear(width, width) for _ in range(4))
        self.norm_q, self.norm_k = Norm(width), Norm(width)
        if picture:
            self.k_img, self.v_img = nn.Linear(width, width), nn.Linear(width, width)
            self.norm_k_img = Norm(width)

    def queries(self, x: Tensor) -> Tensor:
        return self.split(self.norm_q(self.q(x)))

    def keys(self, x: Tensor) -> Tensor:
        return self.split(self.norm_k(self.k(x)))

    def values(self, x: Tensor) -> Tensor:
        return self.split(self.v(x))

    def picture_keys(self, x: Tensor) -> Tensor:
        return self.split(self.norm_k_img(self.k_img(x)))

    def picture_values(self, x: Tensor) -> Tensor:
        return self.split(self.v_img(x))

    def split(self, x: Tensor) -> Tensor:
        """(1, tokens, width) -> (1, tokens, heads, head width)."""
        return x.unflatten(2, (self.heads, -1))


class Norm(nn.Module):
    """Division by the root of the mean square, and a weight."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + EPSILON) * self.weight


class Head(nn.Module):
    """From tokens back to patches."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.head = nn.Linear(sizes.width, 2 * 2 * sizes.channels)
        self.modulation = nn.Parameter(torch.randn(1, 2, sizes.width) / math.sqrt(sizes.width))

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        shift, scale = (self.modulation + time.unsqueeze(1)).unbind(1)
        return self.head(normed(x) * (1 + scale) + shift)


class Picture(nn.Module):
    """From the image encoder's tokens to what cross-attention reads."""

    def __init__(self, image_width: int, width: int) -> None:
        super().__init__()
        self.proj = nn.Sequential(
            nn.LayerNorm(image_width),
            nn.Linear(image_width, image_width),
            nn.GELU(),
            nn.Linear(image_width, width),
            nn.LayerNorm(width),
        )

    def forward(self, tokens: Tensor) -> Tensor:
        return self.proj(tokens)


def normed(x: Tensor) -> Tensor:
    """To mean 0 and deviation 1, token by token."""
    return layer_norm(x, x.shape[-1:], eps=EPSILON)


def attend(queries: Tensor, keys: Tensor, values: Tensor, sees: Tensor | None = None) -> Tensor:
    """Softmax attention of (1, tokens, heads, head width) each; `sees` (queries, keys): which attend to which."""
    scores = torch.einsum("bqhd,bkhd->bhqk", queries, keys) / math.sqrt(queries.shape[-1])
    if sees is not None:
        scores = scores.masked_fill(~sees, -math.inf)
    return torch.einsum("bhqk,bkhd->bqhd", scores.softmax(-1), values).flatten(2)


def waves(timesteps: Tensor, width: int) -> Tensor:
    """Cosines, then sines, of each timestep at falling frequencies, in float64: (F,) -> (F, width)."""
    angles = torch.outer(timesteps.double(), falling(width // 2))
    return torch.cat((angles.cos(), angles.sin()), dim=1)


def rotations(head_width: int, grid: tuple[int, int, int]) -> Tensor:
    """For each token of a grid (F, rows, columns), how far each pair of a head is turned: (tokens, head_width / 2).

    Complex numbers of length 1 in double precision. A third of the pairs, rounded down, turns with the row, as many
    with the column, the rest with the frame.
    """
    pairs, side = head_width // 2, head_width // 2 // 3
    places = torch.cartesian_prod(*(torch.arange(count).double() for count in grid))  # (tokens, 3)
    shares = (pairs - 2 * side, side, side)
    angles = [torch.outer(places[:, axis], falling(share)) for axis, share in enumerate(shares)]
    return torch.polar(torch.ones(len(places), pairs, dtype=torch.double), torch.cat(angles, dim=1))


def turned(x: Tensor, turns: Tensor) -> Tensor:
    """Turns neighbouring numbers of each head, (1, tokens, heads, head width), as points of the plane."""
    points = torch.view_as_complex(x.double().unflatten(-1, (-1, 2)))
    return torch.view_as_real(points * turns.unsqueeze(1)).flatten(-2).type_as(x)


def falling(count: int) -> Tensor:
    """Frequencies from 1 to nearly 1 / 10000, evenly in their logarithm."""
    return 10000.0 ** -(torch.arange(count).double() / count)
