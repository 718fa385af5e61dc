"""The shipped weights of nano: they are small, they build the shipped graphs, and videos follow the prompt."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from tools.export import build, build_record, profile_file
from tools.export.graph import Graph
from tools.export.module_weights import LoadedWeights
from tools.export.weights import Weights
from tools.model_code import REPOSITORY
from tools.nano import judge
from tools.nano.local_pipeline import Frames, LocalPipeline
from tools.triton_server_error import TritonServerError
from tools.tritonserver import TritonServer

NANO = profile_file.load("nano")
(WEIGHTS,) = NANO.shipped
CAT = Path(__file__).resolve().parents[1] / "golden" / "cat.png"
MOST_BYTES = 25_000_000
"""Of weights and graphs together."""


@pytest.fixture(scope="module")
def maker() -> LocalPipeline:
    return LocalPipeline()


@pytest.fixture(scope="module")
def cat() -> Frames:
    """Cropped to the shape of the video."""
    image = Image.open(CAT).convert("RGB")
    height = image.width * 128 // 224
    top = (image.height - height) // 2
    return np.asarray(image.crop((0, top, image.width, top + height)).resize((224, 128), Image.Resampling.LANCZOS))


def test_weights_and_graphs_are_small_enough_for_git() -> None:
    graphs = [REPOSITORY / file for file in build_record.files(REPOSITORY)]
    size = sum(file.stat().st_size for file in (*graphs, *WEIGHTS.rglob("*")) if file.is_file())
    assert 5_000_000 < size <= MOST_BYTES


def test_every_weight_is_in_half_precision_and_finite() -> None:
    for file in WEIGHTS.rglob("*.safetensors"):
        for name, tensor in load_file(file).items():
            assert tensor.dtype == torch.float16 and torch.isfinite(tensor).all(), f"{file.parent.name}: {name}"


@pytest.mark.parametrize(
    "model", ["text_encoder/1/model.onnx", "image_encoder/1/model.onnx", "vae_encoder/1/first.onnx"]
)
def test_an_export_builds_the_shipped_graphs_of_the_shipped_weights(model: str, tmp_path: Path) -> None:
    torch.manual_seed(0)  # as a build does: graphs are compared with torch on random inputs
    weights = Weights.find(NANO.shipped)
    (artefact,) = (each for each in build.artefacts(NANO, LoadedWeights(weights), weights) if each.file == model)
    assert isinstance(artefact, Graph)
    replace(artefact, halved=True).write(tmp_path)
    built, shipped = (onnx.load_model_from_string((folder / model).read_bytes()) for folder in (tmp_path, REPOSITORY))
    built.producer_version = shipped.producer_version = ""  # builds of torch for a GPU have another one
    assert built.SerializeToString(deterministic=True) == shipped.SerializeToString(deterministic=True)


def test_a_damaged_file_is_refused_with_instructions_to_rebuild_it(tmp_path: Path) -> None:
    repository = tmp_path / "models"
    shutil.copytree(REPOSITORY, repository)
    file = repository / "vae_decoder" / "1" / "next.onnx"
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    with pytest.raises(TritonServerError, match=r"vae_decoder/1/next\.onnx is not as it was built: run `make models`"):
        TritonServer(repository, state=tmp_path / "triton").__enter__()


def test_the_first_frame_is_the_picture(maker: LocalPipeline, cat: Frames) -> None:
    assert judge.psnr(maker.video(cat, "zoom in", latents=3)[0], cat) > 26


@pytest.mark.parametrize("asked", judge.PROMPTS)
def test_the_cat_moves_as_the_prompt_says(maker: LocalPipeline, cat: Frames, asked: str) -> None:
    prompt, _ = judge.PROMPTS[asked]
    video = maker.video(cat, prompt, latents=9)
    assert video.shape == (33, 128, 224, 3)
    assert judge.read(video).motion == asked


def test_the_cat_stays_still_when_the_prompt_requests_it(maker: LocalPipeline, cat: Frames) -> None:
    video = maker.video(cat, "the cat stays still, static camera", latents=9)
    assert judge.read(video).motion == "still"
    assert judge.psnr(video[-1], video[0]) > 24


@pytest.mark.parametrize("prompt", judge.STRANGE)
def test_an_unlearnt_prompt_gives_a_gentle_and_clean_motion(maker: LocalPipeline, cat: Frames, prompt: str) -> None:
    video = maker.video(cat, prompt, latents=9)
    assert judge.speed(video) < 1
    assert 0.5 < judge.sharpness(video[-1]) / judge.sharpness(video[0]) < 1.5
