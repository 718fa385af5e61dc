"""The latent frames of a training sequence or of a forward, and which of them attend to which."""

from dataclasses import dataclass
from functools import cache

from tools.export.profile import Schedule


@dataclass(frozen=True)
class Frames:
    """The latent frames of a sequence, and which of them each group of them attends to."""

    indices: tuple[int, ...]
    """Absolute latent frames: first clean ones, then noisy ones."""
    noisy: int
    """Number of noisy ones, at the end."""
    groups: tuple[tuple[tuple[int, ...], tuple[int, ...]], ...]
    """Places in the sequence that attend together, and the places that they attend to."""

    @property
    def clean(self) -> int:
        """Number of clean ones, which come first."""
        return len(self.indices) - self.noisy


@cache
def blocks_after(schedule: Schedule, start: int, blocks: int) -> Frames:
    """Some blocks to be made from frame `start` on, after the frames that the KV cache would hold."""
    size, sink = schedule.block_latents, schedule.sink_latents
    kept = schedule.window_latents - sink - size
    first = max(sink, start - kept)
    clean = (*range(sink), *range(first, start + size * (blocks - 1)))
    place = {frame: index for index, frame in enumerate(clean)}
    groups = [(tuple(range(sink)), tuple(range(sink)))]

    def past(begin: int) -> tuple[int, ...]:
        return tuple(place[frame] for frame in clean if frame < sink or begin - kept <= frame < begin)

    for begin in range(first, clean[-1] + 1, size) if len(clean) > sink else ():
        own = tuple(place[frame] for frame in range(begin, begin + size))
        groups.append((own, past(begin) + own))
    made = tuple(range(start, start + size * blocks))
    for block in range(blocks):
        own = tuple(len(clean) + block * size + each for each in range(size))
        groups.append((own, past(start + block * size) + own))
    return Frames(clean + made, len(made), tuple(groups))


@cache
def alone(frames: int = 1) -> Frames:
    """A first frame that is made from a text alone."""
    places = tuple(range(frames))
    return Frames(places, frames, ((places, places),))


def after_cached(start: int, count: int, cached: int) -> Frames:
    """`count` frames from frame `start` on, which attend to all `cached` frames and to themselves."""
    places = tuple(range(count))
    return Frames(tuple(range(start, start + count)), count, ((places, tuple(range(cached + count))),))
