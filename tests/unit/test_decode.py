"""The decoder's bookkeeping without Triton: whose feature cache is held, for how long, and what is refused."""

from typing import Any

import numpy as np
import pytest

from tools.model_code import REPOSITORY, load

code = load("vae_decoder", "decode")


@pytest.fixture(scope="module")
def decoder() -> Any:
    return code.Decoder(REPOSITORY / "vae_decoder" / "1", threads=1)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def latents(frames: int, key: int = 0) -> np.ndarray:
    return np.random.default_rng(key).standard_normal((1, 16, frames, 4, 6), dtype=np.float32)


def touch(clips: Any, key: int, *, start: bool = False, end: bool = False) -> Any:
    with clips.of(key, start=start, end=end) as clip:
        return clip


def test_the_first_latent_makes_one_frame_and_each_later_one_four(decoder: Any) -> None:
    clip = code.Clip()
    shapes = [decoder.decode(clip, latents(frames)).shape for frames in (1, 2, 1)]
    assert shapes == [(1, 32, 48, 3), (8, 32, 48, 3), (4, 32, 48, 3)]


def test_a_clip_in_pieces_is_the_clip_at_once(decoder: Any) -> None:
    whole = decoder.decode(code.Clip(), latents(5))
    clip = code.Clip()
    pieces = [decoder.decode(clip, latents(5)[:, :, start:end]) for start, end in ((0, 3), (3, 4), (4, 5))]
    assert np.concatenate(pieces).tobytes() == whole.tobytes()


@pytest.mark.parametrize("shape", [(16, 1, 4, 6), (1, 15, 1, 4, 6), (2, 16, 1, 4, 6), (1, 16, 1, 0, 6)])
def test_latents_of_a_wrong_shape_are_refused(decoder: Any, shape: tuple[int, ...]) -> None:
    with pytest.raises(code.BadRequest, match="shape"):
        decoder.decode(code.Clip(), np.zeros(shape, np.float32))


def test_a_clip_keeps_its_size(decoder: Any) -> None:
    clip = code.Clip()
    decoder.decode(clip, latents(1))
    with pytest.raises(code.BadRequest, match="size"):
        decoder.decode(clip, np.zeros((1, 16, 1, 6, 4), np.float32))


def test_latents_that_are_not_numbers_are_refused(decoder: Any) -> None:
    with pytest.raises(code.BadRequest, match="finite"):
        decoder.decode(code.Clip(), np.full((1, 16, 1, 4, 6), np.nan, np.float32))


def test_a_clip_is_held_from_its_start_to_its_end() -> None:
    held: list[int] = []
    clips = code.Clips(2, 60, Clock(), held.append)
    clip = touch(clips, 1, start=True)
    assert touch(clips, 1) is clip
    touch(clips, 1, end=True)
    assert held == [1, 1, 0]
    with pytest.raises(code.UnknownClip):
        touch(clips, 1)


def test_a_clip_that_starts_again_starts_afresh() -> None:
    clips = code.Clips(1, 60, Clock())
    clip = touch(clips, 1, start=True)
    assert touch(clips, 1, start=True) is not clip
    assert len(clips) == 1


def test_a_clip_that_fails_is_forgotten() -> None:
    clips = code.Clips(2, 60, Clock())
    touch(clips, 1, start=True)
    with pytest.raises(ZeroDivisionError), clips.of(1, start=False, end=False):
        raise ZeroDivisionError
    with pytest.raises(code.UnknownClip):
        touch(clips, 1)


def test_no_more_clips_are_held_than_the_limit() -> None:
    clips = code.Clips(2, 60, Clock())
    touch(clips, 1, start=True)
    touch(clips, 2, start=True)
    with pytest.raises(code.TooManyClips):
        touch(clips, 3, start=True)
    touch(clips, 2)
    touch(clips, 1, end=True)
    touch(clips, 3, start=True)


def test_an_idle_clip_is_forgotten_and_makes_room() -> None:
    clock, held = Clock(), list[int]()
    clips = code.Clips(1, 60, clock, held.append)
    touch(clips, 1, start=True)
    clock.now = 60
    clips.sweep()
    assert len(clips) == 1
    clock.now = 60.5
    clips.sweep()
    assert (len(clips), held) == (0, [1, 0])
    touch(clips, 2, start=True)
