"""The bidirectional loop and its solver, over two graphs of a few nodes in place of a transformer."""

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tools.model_code import load

code, ask, unipc = (
    load("transformer", name) for name in ("bidirectional_pipeline", "generation_request", "unipc_solver")
)
settings = load("transformer", "transformer_settings")

STEPS = 4
SETTINGS = settings.Settings(
    pipeline="bidirectional",
    runtime="onnx",
    precision="fp32",
    channels=2,
    condition_channels=6,
    heads=1,
    head_width=12,
    layers=1,
    feed_forward=4,
    time_width=8,
    text_length=3,
    text_width=4,
    image_tokens=2,
    image_width=4,
    max_latents=5,
    steps=STEPS,
    shift=3.0,
    guidance=5.0,
)


def save(file: Path, nodes: list[Any], inputs: dict[str, list[Any]], outputs: list[str]) -> None:
    def describe(name: str, shape: list[Any] | None = None) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    graph = helper.make_graph(
        nodes,
        file.stem,
        [describe(name, shape) for name, shape in inputs.items()],
        [describe(name) for name in outputs],
        [helper.make_tensor(name, TensorProto.INT64, [1], [value]) for name, value in INDICES.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    model.ir_version = 10
    onnx.save(model, file)


INDICES = {"zero": 0, "channels": 2, "mask_end": 6, "end": 8, "axis": 1}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two graphs. The flow is tanh(noisy * (1 + the mask's mean) - picture + prompt + tokens + first wave)."""
    made, node = tmp_path_factory.mktemp("graphs"), helper.make_node
    save(
        made / "context.onnx",
        [
            node("Identity", ["prompt_embeddings"], ["text_value_0"]),
            node("Identity", ["image_tokens"], ["image_value_0"]),
        ],
        {"prompt_embeddings": [1, 3, 4], "image_tokens": [1, 2, 4]},
        ["text_value_0", "image_value_0"],
    )
    save(
        made / "denoise.onnx",
        [
            node("Slice", ["latents", "zero", "channels", "axis"], ["noisy"]),
            node("Slice", ["latents", "channels", "mask_end", "axis"], ["mask"]),
            node("Slice", ["latents", "mask_end", "end", "axis"], ["picture"]),
            node("ReduceMean", ["mask", "axis"], ["given"]),
            node("Mul", ["noisy", "given"], ["held"]),
            node("ReduceMean", ["text_value_0"], ["prompt"], keepdims=0),
            node("ReduceMean", ["image_value_0"], ["tokens"], keepdims=0),
            node("Slice", ["waves", "zero", "axis", "axis"], ["wave"]),
            node("ReduceMean", ["wave"], ["time"], keepdims=0),
            node("Sum", ["noisy", "held", "prompt", "tokens", "time"], ["sum"]),
            node("Sub", ["sum", "picture"], ["all"]),
            node("Tanh", ["all"], ["flow"]),
        ],
        {
            "latents": [1, 8, None, None, None],
            "waves": [1, 8],
            "cos": [None, 6],
            "sin": [None, 6],
            "text_value_0": [1, 3, 4],
            "image_value_0": [1, 2, 4],
        },
        ["flow"],
    )
    return made


def a_diffusion(folder: Path, **changes: Any) -> Any:
    denoiser = load("transformer", "bidirectional_denoiser_onnx").OnnxDenoiser(
        folder, replace(SETTINGS, **changes), 1, "cpu"
    )
    return code.Diffusion(denoiser)


def a_request(key: int = 0, frames: int = 3, **changes: Any) -> Any:
    rng = np.random.default_rng(key)

    def random(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape, dtype=np.float32)

    request = ask.Request(
        prompt_embeddings=random(1, 3, 4),
        negative_embeddings=random(1, 3, 4),
        image_tokens=random(1, 2, 4),
        image_latent=random(1, 2, frames, 4, 6),
        latent_size=(4, 6),
        latent_frames=frames,
        seed=7,
    )
    return replace(request, **changes)


def latents(diffusion: Any, request: Any) -> np.ndarray:
    *_, last = diffusion.blocks(request)
    made: np.ndarray = last.latents
    return made


def test_a_video_arrives_complete_after_a_message_of_each_step(folder: Path) -> None:
    blocks = list(a_diffusion(folder).blocks(a_request()))
    assert [block.latents.shape for block in blocks] == [(1, 2, 0, 4, 6)] * (STEPS - 1) + [(1, 2, 3, 4, 6)]
    assert [(block.start, block.forwards, block.total) for block in blocks] == [(0, n, 8) for n in (2, 4, 6, 8)]
    assert blocks[-1].latents.dtype == np.float32 and np.isfinite(blocks[-1].latents).all()


def test_without_guidance_a_step_takes_one_forward(folder: Path) -> None:
    blocks = list(a_diffusion(folder, guidance=1.0).blocks(a_request(negative_embeddings=None)))
    assert [(block.forwards, block.total) for block in blocks] == [(n, 4) for n in (1, 2, 3, 4)]


def test_a_video_equals_the_result_of_the_formulas(folder: Path) -> None:
    """One step, so that the result depends only on the direction of the flow."""
    request = a_request()
    sigma, waves = unipc.schedule(1, 3.0).sigmas[0], load("transformer", "position_and_time").waves
    noisy = ask.noise(7, 0, 3, 0, 2, (4, 6))
    mask = np.zeros((1, 1, 3, 4, 6))
    mask[:, :, 0] = 1

    def flow(prompt: np.ndarray) -> np.ndarray:
        condition = prompt.mean() + request.image_tokens.mean() + waves(8, 999)[0, 0]
        return np.tanh(noisy * (1 + mask) + condition - request.image_latent)

    positive, negative = flow(request.prompt_embeddings), flow(request.negative_embeddings)
    wanted = noisy - sigma * (negative + 5 * (positive - negative))
    assert np.abs(latents(a_diffusion(folder, steps=1), request) - wanted).max() < 1e-5


def test_the_mask_is_that_of_the_authors() -> None:
    """Wan2.1 makes it of frames: the first is given, and counts four times."""
    frames = np.zeros((1, 9, 4, 6), np.float32)
    frames[:, 0] = 1
    wanted = np.concatenate((np.repeat(frames[:, :1], 4, axis=1), frames[:, 1:]), axis=1)
    wanted = wanted.reshape(1, 3, 4, 4, 6).transpose(0, 2, 1, 3, 4)
    assert np.array_equal(code.mask(np.zeros((1, 2, 3, 4, 6), np.float32)), wanted)


def test_the_same_request_gives_the_same_bytes_after_and_during_other_requests(folder: Path) -> None:
    diffusion = a_diffusion(folder)
    requests = [a_request(key, frames) for key in range(4) for frames in (1, 3, 5)]
    alone = [latents(diffusion, request).tobytes() for request in requests]
    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(lambda request: latents(diffusion, request).tobytes(), requests))
    assert together == alone == [latents(a_diffusion(folder), request).tobytes() for request in requests]


@pytest.mark.parametrize("what", ["seed", "image_latent", "image_tokens", "prompt_embeddings", "negative_embeddings"])
def test_every_input_has_an_effect(folder: Path, what: str) -> None:
    diffusion, other = a_diffusion(folder), a_request(key=1, seed=8)
    changed = a_request(**{what: getattr(other, what)})
    assert np.abs(latents(diffusion, a_request()) - latents(diffusion, changed)).mean() > 0.01


@pytest.mark.parametrize("after", range(2 * STEPS + 1))
def test_a_cancel_is_seen_before_the_next_forward_also_within_a_step(folder: Path, after: int) -> None:
    forwards: list[int] = []
    blocks = list(a_diffusion(folder).blocks(a_request(), lambda: len(forwards) >= after, forwards.append))
    assert len(forwards) == after
    assert len(blocks) == after // 2
    assert any(block.latents.size for block in blocks) == (after == 2 * STEPS)


def test_nothing_is_made_of_a_video_that_is_complete(folder: Path) -> None:
    diffusion, request = a_diffusion(folder), a_request()
    forwards: list[int] = []
    whole = replace(request, history=latents(diffusion, request))
    assert list(diffusion.blocks(whole, count=forwards.append)) == []
    none = replace(request, history=np.zeros((1, 2, 0, 4, 6), np.float32))
    assert latents(diffusion, none).tobytes() == latents(diffusion, request).tobytes()
    assert forwards == []


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"latent_frames": 0}, "from 1 to 5"),
        ({"latent_frames": 6}, "from 1 to 5"),
        ({"latent_frames": 2}, r"image_latent must have the shape \(1, 2, 2, 4, 6\)"),
        ({"seed": -1}, "seed"),
        ({"latent_size": (3, 6)}, "even"),
        ({"latent_size": (4, 8)}, "image_latent"),
        ({"image_latent": None}, "image_latent must be given: this profile makes no video without it"),
        ({"image_latent": np.full((1, 2, 3, 4, 6), np.nan, np.float32)}, "image_latent must be finite"),
        ({"image_tokens": None}, "image_tokens must be given"),
        ({"negative_embeddings": None}, "negative_embeddings must be given"),
        ({"negative_embeddings": np.zeros((1, 2, 4), np.float32)}, "negative_embeddings must have the shape"),
        ({"prompt_embeddings": np.zeros((1, 3, 5), np.float32)}, "prompt_embeddings"),
        ({"history": np.zeros((1, 2, 2, 4, 6), np.float32)}, "all 3 latent frames or none"),
        ({"history": np.zeros((2, 3, 4, 6), np.float32)}, "history"),
    ],
)
def test_a_bad_request_is_refused_before_any_work(folder: Path, changes: dict[str, Any], complaint: str) -> None:
    forwards: list[int] = []
    with pytest.raises(ask.BadRequest, match=complaint):
        list(a_diffusion(folder).blocks(a_request(**changes), count=forwards.append))
    assert forwards == []


def test_a_negative_prompt_without_guidance_is_refused(folder: Path) -> None:
    with pytest.raises(ask.BadRequest, match="negative_embeddings must be absent: this profile has no guidance"):
        list(a_diffusion(folder, guidance=1.0).blocks(a_request()))


def test_a_transformer_that_takes_no_condition_is_refused(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"condition_channels must be 4 \+ 2"):
        a_diffusion(folder, condition_channels=0)


def test_a_warm_up_takes_one_step_for_every_profile(folder: Path) -> None:
    for changes in ({}, {"guidance": 1.0}):
        a_diffusion(folder, **changes).warm_up()


def test_the_grid_is_that_of_the_authors() -> None:
    """Shift 3, as Wan2.1 has it for 480p."""
    assert unipc.schedule(4, 3.0).timesteps == (999, 899, 749, 499)
    forty = unipc.schedule(40, 3.0)
    assert (forty.timesteps[:5], forty.timesteps[-3:]) == ((999, 991, 982, 973, 963), (195, 136, 71))
    assert len(forty.sigmas) == 41
    assert forty.sigmas[0] == pytest.approx(0.99966644, abs=1e-7)
    assert forty.sigmas[-1] == 0


def solved(steps: int, flow: Callable[[np.ndarray, float], np.ndarray], begin: np.ndarray) -> np.ndarray:
    grid = unipc.schedule(steps, 3.0)
    solver = unipc.UniPC(grid.sigmas)
    for sigma in grid.sigmas[:-1]:
        begin = solver.step(begin, flow(begin, sigma))
    return begin


def test_a_flow_that_points_to_one_picture_leads_there_in_any_number_of_steps() -> None:
    picture, begin = np.array([0.5, -2.0]), np.array([1.0, 3.0])
    for steps in (1, 2, 3, 10):
        assert solved(steps, lambda x, sigma: (x - picture) / sigma, begin) == pytest.approx(picture)


def test_twice_the_steps_are_at_least_four_times_as_accurate() -> None:
    """For data of the normal distribution of deviation s the flow is known, and so is where it leads."""
    s = 0.5

    def flow(x: np.ndarray, sigma: float) -> np.ndarray:
        variance = (1 - sigma) ** 2 * s**2 + sigma**2
        return x * (sigma - (1 - sigma) * s**2) / variance

    first = unipc.schedule(10, 3.0).sigmas[0]
    wanted = s / math.sqrt((1 - first) ** 2 * s**2 + first**2)
    errors = [abs(float(solved(steps, flow, np.array([1.0]))[0]) - wanted) for steps in (10, 20, 40)]
    assert errors[1] < errors[0] / 4
    assert errors[2] < errors[1] / 4
