"""The reference against the library, and what is served against the reference."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.reference.rollout import Schedule, Way, rollout
from tests.reference.small import IMAGE, TEXT_LENGTH, checkpoint, profile, wan
from tools.export import causal_transformer, wan_transformer
from tools.export.module_weights import LoadedWeights
from tools.export.profile import Engine, Precision
from tools.export.weights import Weights
from tools.model_code import load

TOLERANCE = 1e-4
SEED = 11
SIZE = (4, 6)
FOUR = (1000, 750, 500, 250)

Export = Callable[[bool, Precision], Path]


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def random(*shape: int, key: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(key))


def loaded(folder: Path, picture: bool, precision: Precision = "fp32") -> tuple[Any, LoadedWeights]:
    """The profile of the small model, and its weights by way of a checkpoint."""
    model = wan(picture=picture)
    small_profile = profile(
        model, Way(frames_per_block=1), max_latents=1, engine=Engine(threads=1, precision=precision)
    )
    return small_profile, LoadedWeights(Weights.find([checkpoint(model, folder / "small.pt")]))


@pytest.mark.parametrize("picture", [False, True], ids=["prompt", "prompt and picture"])
def test_the_reference_equals_the_library_when_all_frames_are_alike(tmp_path: Path, picture: bool) -> None:
    model, library = wan(picture=picture), wan_transformer.transformer(*loaded(tmp_path, picture))
    # The library takes a prompt to have 512 tokens where there is a picture.
    text = random(1, 512 if picture else TEXT_LENGTH, model.sizes.text_width, key=1)
    tokens = random(1, IMAGE.tokens, IMAGE.width, key=2) if picture else None
    latents = random(1, 16, 3, *SIZE, key=3)
    with torch.inference_mode():
        ours = model(latents, torch.full((3,), 625.0), torch.ones(3, 3, dtype=torch.bool), text, tokens)
        theirs = library(latents, torch.tensor([625.0]), text, tokens).sample
    assert theirs.std() > 0.1
    assert float((ours - theirs).abs().max()) < 1e-5


@pytest.mark.parametrize("shift", [1, 3, 5, 8])
@pytest.mark.parametrize("steps", [FOUR, (1000, 500), (1000,)], ids=len)
def test_timesteps_and_shares_of_noise_are_those_of_the_thousand(steps: tuple[int, ...], shift: float) -> None:
    schedule = Schedule(shift)
    small_profile = profile(wan(), Way(frames_per_block=1, steps=steps, shift=shift), max_latents=5).schedule
    assert small_profile is not None
    sigma_at = load("transformer", "causal_pipeline").sigma_at
    for ours, theirs in zip(small_profile.warped(small_profile.timesteps), schedule.warped(steps), strict=True):
        assert abs(np.float32(ours) - theirs.item()) <= 6.2e-5  # the last bit of a float32 near 1000
        assert abs(sigma_at(ours) - schedule.sigma(theirs).item()) <= 6e-8


@dataclass(frozen=True)
class Video:
    """What is made."""

    way: Way
    frames: int
    given: bool
    """Whether latent frame 0 is."""
    picture: bool = False
    """Whether the transformer attends to one."""

    def request(self) -> Any:
        """As it is requested."""
        model = wan(picture=self.picture)
        return load("transformer", "generation_request").Request(
            prompt_embeddings=random(1, TEXT_LENGTH, model.sizes.text_width, key=1).numpy(),
            image_tokens=random(1, IMAGE.tokens, IMAGE.width, key=2).numpy() if self.picture else None,
            image_latent=random(1, 16, 1, *SIZE, key=3).numpy() if self.given else None,
            latent_size=SIZE,
            latent_frames=self.frames,
            seed=SEED,
        )

    def by_the_reference(self) -> np.ndarray:
        """The frames that are made, (1, C, F, h, w)."""
        request, noise = self.request(), load("transformer", "generation_request").noise

        def tensor(array: np.ndarray | None) -> torch.Tensor | None:
            return None if array is None else torch.from_numpy(array)

        with torch.inference_mode():
            video = rollout(
                wan(picture=self.picture),
                self.way,
                prompt=torch.from_numpy(request.prompt_embeddings),
                picture=tensor(request.image_tokens),
                given=tensor(request.image_latent),
                frames=self.frames,
                noise=lambda start, end, step: torch.from_numpy(noise(SEED, start, end, step, 16, SIZE)),
            )
        made: np.ndarray = video[:, :, int(self.given) :].numpy()
        return made

    def as_served(self, exported: Path) -> np.ndarray:
        """The same by our rollout over what is exported; a way is in no graph, only in the settings."""
        content = wan_transformer.settings(profile(wan(), self.way, max_latents=self.frames)).content
        of_way = {key: content[key] for key in content if "latents" in key or "first" in key or "timesteps" in key}
        settings = replace(load("transformer", "transformer_settings").Settings.read(exported), **of_way)
        runtime = load("transformer", "network_runtime_onnx").OnnxRuntime(exported, settings, threads=1, device="cpu")
        blocks = load("transformer", "causal_pipeline").Rollout(runtime).blocks(self.request())
        made: np.ndarray = np.concatenate([block.latents for block in blocks], axis=2)
        return made


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Export:
    """Exports the small model, once for each of its kinds."""
    made: dict[tuple[bool, Precision], Path] = {}

    def once(picture: bool, precision: Precision) -> Path:
        if (picture, precision) not in made:
            folder = tmp_path_factory.mktemp("small")
            for artefact in causal_transformer.graphs(*loaded(folder, picture, precision)):
                artefact.write(folder)
            made[picture, precision] = folder / "transformer" / "1"
        return made[picture, precision]

    return once


def farthest(one: np.ndarray, other: np.ndarray) -> float:
    assert one.shape == other.shape
    return float(np.abs(one - other).max())


FRAMEWISE, TRIPLES = Way(frames_per_block=1), Way(frames_per_block=3)
FROM_TEXT = replace(TRIPLES, independent_first_frame=False)
WINDOW = Way(frames_per_block=2, window=6, sink=1)
VIDEOS = {
    "a picture, frame by frame": Video(FRAMEWISE, 6, given=True),
    "a picture, blocks of three": Video(TRIPLES, 7, given=True),
    "no picture, the first frame alone": Video(TRIPLES, 7, given=False),
    "no picture, blocks of three": Video(FROM_TEXT, 9, given=False),
    "a picture that is attended to, blocks of two": Video(Way(frames_per_block=2), 7, given=True, picture=True),
    "two steps, four for the first block": Video(
        replace(FRAMEWISE, steps=(1000, 500), first_steps=FOUR), 5, given=True
    ),
    "one step, four for the first block, no picture": Video(
        replace(FROM_TEXT, steps=(1000,), first_steps=FOUR), 9, given=False
    ),
    "a window": Video(replace(FRAMEWISE, window=3), 8, given=True),
    "a window and a sink": Video(WINDOW, 15, given=True),
    "a window and a sink, no picture": Video(replace(FROM_TEXT, window=7, sink=3, shift=8), 15, given=False),
}


@pytest.mark.parametrize("video", VIDEOS.values(), ids=VIDEOS)
def test_the_served_models_equal_the_reference(export: Export, video: Video) -> None:
    wanted = video.by_the_reference()
    assert farthest(video.as_served(export(video.picture, "fp32")), wanted) < TOLERANCE


def test_a_video_differs_from_that_of_other_settings(export: Export) -> None:
    served = Video(WINDOW, 15, given=True).as_served(export(False, "fp32"))
    for other in (
        replace(WINDOW, window=7),
        replace(WINDOW, sink=0),
        replace(WINDOW, first_steps=(1000, 500)),
        replace(WINDOW, shift=4.9),
    ):
        assert farthest(served, Video(other, 15, given=True).by_the_reference()) > 10 * TOLERANCE


def test_in_half_precision_the_served_models_are_close_to_the_reference(export: Export) -> None:
    video = VIDEOS["a picture that is attended to, blocks of two"]
    difference = farthest(video.as_served(export(True, "fp16")), video.by_the_reference())
    assert 1e-5 < difference < 2e-2


def test_for_a_runtime_without_graphs_weights_are_written_with_the_librarys_names(tmp_path: Path) -> None:
    small_profile, module_weights = loaded(tmp_path, True, "fp16")
    small_profile = replace(small_profile, engine=replace(small_profile.engine, runtime="torch"))
    written = [
        artefact.write(tmp_path) and artefact.file
        for artefact in causal_transformer.graphs(small_profile, module_weights)
    ]
    assert written[0] == "transformer/1/weights.safetensors"
    got, wanted = (
        load_file(tmp_path / "transformer/1/weights.safetensors"),
        wan_transformer.transformer(small_profile, module_weights),
    )
    assert {name: each.dtype for name, each in got.items()} == {n: p.dtype for n, p in wanted.named_parameters()}
    assert got["scale_shift_table"].dtype == got["blocks.0.norm2.weight"].dtype == torch.float32
    assert got["blocks.0.attn1.norm_q.weight"].dtype == got["proj_out.weight"].dtype == torch.float16
    assert all(torch.equal(got[name], each) for name, each in wanted.named_parameters())
