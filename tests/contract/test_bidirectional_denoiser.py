"""The port of the bidirectional loop: either runtime against the library's own module, and the loop over one and other.

The library computes rotary table, waves of the timestep and attention itself.
"""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.support.small_profiles import Seeded, bidirectional
from tools.export import bidirectional_transformer as exported
from tools.export import profile_file as profiles
from tools.export import wan_transformer
from tools.model_code import load

TOLERANCE = 1e-4
PROFILE = bidirectional()
IMAGE = PROFILE.image_encoder
assert IMAGE is not None

Make = Callable[..., Any]


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Of each runtime, the same weights."""
    torch.set_num_threads(1)
    made = {}
    for runtime in ("onnx", "torch"):
        folder = tmp_path_factory.mktemp(runtime)
        changed = replace(PROFILE, engine=replace(PROFILE.engine, runtime=runtime))
        for artefact in exported.graphs(changed, Seeded()):
            artefact.write(folder)
        made[runtime] = folder / "transformer" / "1"
    return made


@pytest.fixture(scope="module")
def denoiser(exports: dict[str, Path]) -> Make:
    def make(runtime: str, **changes: Any) -> Any:
        folder = exports[runtime]
        settings = replace(load("transformer", "transformer_settings").Settings.read(folder), **changes)
        if runtime == "onnx":
            return load("transformer", "bidirectional_denoiser_onnx").OnnxDenoiser(folder, settings, 1, "cpu")
        weights = load("transformer", "network_runtime_torch").TorchRuntime(folder, settings, "cpu")
        return load("transformer", "bidirectional_denoiser_torch").TorchDenoiser(weights)

    return make


def random(*shape: int, key: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(key))


def prompt(key: int) -> torch.Tensor:
    return random(1, PROFILE.text_encoder.length, PROFILE.text_encoder.width, key=key)


def tokens(key: int = 3) -> torch.Tensor:
    return random(1, IMAGE.tokens, IMAGE.width, key=key)


def farthest(one: np.ndarray, other: np.ndarray) -> float:
    assert one.shape == other.shape
    return float(np.abs(one - other).max())


@pytest.mark.parametrize("prompts", [1, 2])
@pytest.mark.parametrize("runtime", ["onnx", "torch"])
@pytest.mark.parametrize("grid", [(3, 6, 8), (1, 10, 4), (5, 4, 4)], ids=str)
def test_a_forward_pass_equals_the_librarys(
    denoiser: Make, runtime: str, prompts: int, grid: tuple[int, int, int]
) -> None:
    """For every prompt of a video, in any order, at any timestep."""
    given = [prompt(key) for key in range(prompts)]
    model = wan_transformer.transformer(PROFILE, Seeded())
    video = denoiser(runtime).video([each.numpy() for each in given], tokens().numpy(), grid)
    made = []
    for step, timestep in enumerate((999, 500, 1)):
        latents = random(1, PROFILE.vae.channels + PROFILE.transformer.condition_channels, *grid, key=10 + step)
        for number in reversed(range(prompts)):
            with torch.inference_mode():
                wanted = model(
                    hidden_states=latents,
                    timestep=torch.tensor([timestep]),
                    encoder_hidden_states=given[number],
                    encoder_hidden_states_image=tokens(),
                ).sample
            made.append(video.forward(number, latents.numpy(), timestep))
            assert wanted.std() > 0.3
            assert farthest(made[-1], wanted.numpy()) < TOLERANCE
    assert all(farthest(*pair) > 0.01 for pair in pairwise(made)), "every input has an effect"
    video.end()
    video.end()


@pytest.mark.parametrize("guidance", [5.0, 1.0])
def test_a_video_is_the_same_with_either_runtime(denoiser: Make, guidance: float) -> None:
    request = load("transformer", "generation_request").Request(
        prompt_embeddings=prompt(1).numpy(),
        negative_embeddings=prompt(2).numpy() if guidance > 1 else None,
        image_tokens=tokens().numpy(),
        image_latent=random(1, PROFILE.vae.channels, 3, 6, 8, key=4).numpy(),
        latent_size=(6, 8),
        latent_frames=3,
        seed=5,
    )
    videos = []
    for runtime in ("onnx", "torch"):
        made = load("transformer", "bidirectional_pipeline").Diffusion(denoiser(runtime, guidance=guidance, steps=8))
        made.warm_up()
        *_, last = made.blocks(request)
        videos.append(last.latents)
    assert videos[0].std() > 0.3
    assert farthest(*videos) < TOLERANCE


def test_the_export_has_weights_in_place_of_graphs(exports: dict[str, Path]) -> None:
    assert {each.name for each in exports["torch"].iterdir()} == {"weights.safetensors", "settings.json"}
    assert {each.name for each in exports["onnx"].iterdir()} == {"context.onnx", "denoise.onnx", "settings.json"}


@pytest.mark.parametrize("name", ["wan2.1-i2v-14b", "wan2.1-i2v-1.3b"])
def test_the_published_models_run_with_torch(name: str) -> None:
    assert profiles.load(name).engine.runtime == "torch"
