"""The denoising loop without Triton, on pictures of a few latent pixels."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tools.model_code import REPOSITORY, load

code = load("transformer", "causal_pipeline")
FOLDER = REPOSITORY / "transformer" / "1"
WORDS = 12


def a_rollout(**changes: Any) -> Any:
    """With its own profile; `changes` concern settings that are not in the graphs."""
    settings = replace(load("transformer", "transformer_settings").Settings.read(FOLDER), **changes)
    return code.Rollout(
        load("transformer", "network_runtime_onnx").OnnxRuntime(FOLDER, settings, threads=1, device="cpu")
    )


@pytest.fixture(scope="module")
def rollout() -> Any:
    return a_rollout()


def a_request(rollout: Any, key: int = 0, **changes: Any) -> Any:
    """A picture and a prompt of some words drawn from `key`: 4 x 6 latent pixels, 5 latent frames."""
    rng = np.random.default_rng(key)

    def random(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape, dtype=np.float32)

    prompt = random(*rollout.settings.prompt_shape)
    prompt[:, WORDS:] = 0  # as padding is; a prompt of full length would hide the effect of the picture
    request = code.Request(
        prompt_embeddings=prompt,
        image_tokens=random(*rollout.settings.image_shape),
        image_latent=random(1, rollout.settings.channels, 1, 4, 6),
        latent_size=(4, 6),
        latent_frames=5,
        seed=7,
    )
    return replace(request, **changes)


def latents(rollout: Any, request: Any) -> np.ndarray:
    return np.concatenate([block.latents for block in rollout.blocks(request)], axis=2)


def difference(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one - other).mean())


def test_blocks_come_in_order_and_each_forward_is_counted(rollout: Any) -> None:
    steps = len(rollout.settings.timesteps)
    blocks = list(rollout.blocks(a_request(rollout)))
    assert [(block.start, block.latents.shape) for block in blocks] == [(1, (1, 16, 2, 4, 6)), (3, (1, 16, 2, 4, 6))]
    assert [(block.forwards, block.total) for block in blocks] == [(1 + steps, 2 + 2 * steps), (2 + 2 * steps,) * 2]


def test_without_a_picture_frame_0_is_a_block_of_its_own(rollout: Any) -> None:
    blocks = list(rollout.blocks(a_request(rollout, image_latent=None, image_tokens=None)))
    assert [(block.start, block.latents.shape[2]) for block in blocks] == [(0, 1), (1, 2), (3, 2)]
    assert all(np.isfinite(block.latents).all() for block in blocks)


def test_the_same_request_gives_the_same_bytes_after_any_other(rollout: Any) -> None:
    first = latents(rollout, a_request(rollout)).tobytes()
    latents(rollout, a_request(rollout, key=5, seed=99, latent_frames=3))
    assert latents(rollout, a_request(rollout)).tobytes() == first
    fresh = a_rollout()
    assert latents(fresh, a_request(fresh)).tobytes() == first


def test_a_longer_video_begins_like_the_shorter_one(rollout: Any) -> None:
    short, long = (latents(rollout, a_request(rollout, latent_frames=frames)) for frames in (3, 7))
    assert np.array_equal(long[:, :, :2], short)


@pytest.mark.parametrize("made", [2, 4])
def test_a_video_resumed_from_its_latents_ends_as_the_uninterrupted_one(rollout: Any, made: int) -> None:
    whole = latents(rollout, a_request(rollout, latent_frames=7))
    request = a_request(rollout, latent_frames=7, history=whole[:, :, :made])
    rest = list(rollout.blocks(request))
    assert rest[0].start == 1 + made
    assert np.concatenate([block.latents for block in rest], axis=2).tobytes() == whole[:, :, made:].tobytes()


def test_a_video_without_a_picture_can_be_resumed_too(rollout: Any) -> None:
    request = a_request(rollout, image_latent=None, image_tokens=None)
    whole = latents(rollout, request)
    rest = latents(rollout, replace(request, history=whole[:, :, :3]))
    assert rest.tobytes() == whole[:, :, 3:].tobytes()


WAYS: dict[str, dict[str, Any]] = {
    "other steps for the first block": {"first_timesteps": (1000.0, 833.3), "timesteps": (1000.0,)},
    "a window": {"window_latents": 5, "sink_latents": 1, "max_latents": 99},
    "a window without a sink": {"window_latents": 4, "max_latents": 99},
    "the first frame not alone": {"independent_first_frame": False},
}


@pytest.mark.parametrize("made", [2, 4, 6])
@pytest.mark.parametrize("given", [True, False], ids=["picture", "text"])
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_each_schedule_gives_the_same_bytes_again_and_resumed(way: dict[str, Any], given: bool, made: int) -> None:
    rollout = a_rollout(**way)
    alone = int(given or rollout.settings.independent_first_frame)
    request = a_request(rollout, latent_frames=10 + alone, **({} if given else {"image_latent": None}))
    whole = latents(rollout, request)
    assert latents(rollout, request).tobytes() == whole.tobytes()
    made += alone - given  # a frame 0 made alone is a block before them
    rest = list(rollout.blocks(replace(request, history=whole[:, :, :made])))
    assert np.concatenate([block.latents for block in rest], axis=2).tobytes() == whole[:, :, made:].tobytes()
    forwards: list[int] = []
    list(rollout.blocks(replace(request, history=whole[:, :, :made]), count=forwards.append))
    assert {block.total for block in rest} == {len(forwards)}


def test_the_first_block_that_is_made_takes_its_own_steps() -> None:
    rollout = a_rollout(first_timesteps=(1000.0, 900.0, 800.0), timesteps=(1000.0,))
    for given, wanted in ((True, [4, 6]), (False, [3, 5, 7])):
        request = a_request(rollout, **({} if given else {"image_latent": None}))
        assert [block.forwards for block in rollout.blocks(request)] == wanted


def test_without_a_picture_all_blocks_can_be_alike() -> None:
    rollout = a_rollout(independent_first_frame=False)
    request = a_request(rollout, image_latent=None, latent_frames=4)
    assert [(block.start, block.latents.shape[2]) for block in rollout.blocks(request)] == [(0, 2), (2, 2)]
    with pytest.raises(code.BadRequest, match=r"k \* 2 without a picture, not 5"):
        rollout.check(replace(request, latent_frames=5))
    rollout.check(a_request(rollout, latent_frames=5))


def test_a_video_may_be_longer_than_the_window_but_not_than_the_rotary_table() -> None:
    rollout = a_rollout(window_latents=5, sink_latents=1, max_latents=4001)
    made = latents(rollout, a_request(rollout, latent_frames=31))
    assert np.isfinite(made).all()
    assert made.std(axis=(0, 1, 3, 4)).min() > 0.2
    rollout.check(a_request(rollout, latent_frames=1023))
    with pytest.raises(code.BadRequest, match="at most 1024"):
        rollout.check(a_request(rollout, latent_frames=1025))


def test_a_window_without_room_for_a_block_is_refused() -> None:
    with pytest.raises(ValueError, match="sink_latents"):
        a_rollout(window_latents=3, sink_latents=2)


def test_the_cache_is_as_long_as_the_window_and_is_used_again() -> None:
    short, long = a_rollout(window_latents=5), a_rollout(max_latents=10, window_latents=0)
    for rollout in (short, long):
        latents(rollout, a_request(rollout))
    assert short.cache_bytes < long.cache_bytes
    held = long.cache_bytes
    next(long.blocks(a_request(long)))  # cancelled immediately
    latents(long, a_request(long, latent_frames=3))
    assert long.cache_bytes == held


@pytest.mark.parametrize(
    ("what", "least"), [("seed", 0.1), ("image_latent", 0.2), ("image_tokens", 1e-3), ("prompt_embeddings", 1e-3)]
)
def test_every_input_has_an_effect(rollout: Any, what: str, least: float) -> None:
    other = a_request(rollout, key=1, seed=8)
    changed = a_request(rollout, **{what: getattr(other, what)})
    assert difference(latents(rollout, a_request(rollout)), latents(rollout, changed)) > least


def test_values_stay_in_the_range_of_latents(rollout: Any) -> None:
    made = latents(rollout, a_request(rollout, latent_frames=rollout.max_latents))
    spread = made.std(axis=(0, 1, 3, 4))
    assert spread.min() > 0.2
    assert spread.max() < 3
    assert np.abs(made).max() < 15


def test_a_slot_that_releases_its_cache_makes_the_same_video(rollout: Any) -> None:
    lending = a_rollout(keep_cache=False)
    wanted = latents(rollout, a_request(rollout)).tobytes()
    lending.warm_up()
    before = lending.cache_bytes
    for _ in range(2):
        assert latents(lending, a_request(lending)).tobytes() == wanted
        assert lending.cache_bytes == before
    stopped = lending.blocks(a_request(lending))
    next(stopped)
    assert lending.cache_bytes > before
    stopped.close()
    assert lending.cache_bytes == before


def test_noise_depends_only_on_seed_frame_and_step() -> None:
    together = code.noise(3, 5, 9, 1, 16, (4, 6))
    alone = [code.noise(3, frame, frame + 1, 1, 16, (4, 6)) for frame in range(5, 9)]
    assert np.array_equal(together, np.concatenate(alone, axis=2))
    others = [
        code.noise(4, 5, 6, 1, 16, (4, 6)),
        code.noise(3, 6, 7, 1, 16, (4, 6)),
        code.noise(3, 5, 6, 2, 16, (4, 6)),
    ]
    assert all(difference(alone[0], other) > 0.5 for other in others)


@pytest.mark.parametrize("seed", [0, 2**63 - 1])
def test_every_seed_of_the_range_is_accepted(rollout: Any, seed: int) -> None:
    assert np.isfinite(latents(rollout, a_request(rollout, seed=seed, latent_frames=3))).all()


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"latent_frames": 0}, r"1 \+ k \* 2"),
        ({"latent_frames": 4}, r"1 \+ k \* 2"),
        ({"latent_frames": 23}, "at most 21"),
        ({"seed": -1}, "seed"),
        ({"negative_embeddings": np.zeros((1, 256, 128), np.float32)}, "no guidance"),
        ({"latent_size": (3, 6)}, "even"),
        ({"latent_size": (0, 6)}, "even"),
        ({"latent_size": (4, 8)}, "image_latent"),
        ({"prompt_embeddings": np.zeros((1, 5, 128), np.float32)}, "prompt_embeddings"),
        ({"image_tokens": np.zeros((1, 5, 128), np.float32)}, "image_tokens"),
        ({"image_tokens": np.full((1, 37, 128), np.nan, np.float32)}, "image_tokens must be finite"),
        ({"image_latent": np.zeros((4, 6), np.float32)}, "image_latent"),
        ({"history": np.zeros((1, 16, 1, 4, 6), np.float32)}, "where a block ends"),
        ({"history": np.zeros((1, 16, 6, 4, 6), np.float32)}, "where a block ends"),
        ({"history": np.zeros((16, 2, 4, 6), np.float32)}, "history"),
    ],
)
def test_a_bad_request_is_refused_before_any_work(rollout: Any, changes: dict[str, Any], complaint: str) -> None:
    forwards: list[int] = []
    with pytest.raises(code.BadRequest, match=complaint):
        list(rollout.blocks(a_request(rollout, **changes), count=forwards.append))
    assert forwards == []


@pytest.mark.parametrize("after", range(11))
def test_a_cancel_is_seen_before_the_next_forward(rollout: Any, after: int) -> None:
    forwards: list[int] = []
    blocks = list(rollout.blocks(a_request(rollout), lambda: len(forwards) >= after, forwards.append))
    assert len(forwards) == min(after, 10)
    assert len(blocks) == (after >= 5) + (after >= 10)


def test_a_block_is_handed_out_before_its_clean_pass(rollout: Any) -> None:
    forwards: list[int] = []
    blocks = rollout.blocks(a_request(rollout), count=forwards.append)
    next(blocks)
    assert len(forwards) == 1 + len(rollout.settings.timesteps)
