"""Weights as they are published become a running model: official files, a training checkpoint, a tiny VAE."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import av
import pytest
import torch
from diffusers import AutoencoderKLWan, WanTransformer3DModel
from i2v.v1 import job_pb2
from tokenizers import Tokenizer, models, pre_tokenizers

from services.orchestrator.backends.triton_backend import TritonBackend
from tests.support import weights_files
from tests.support.served_orchestrator import served, text_spec
from tests.support.triton_fixture import REPOSITORY
from tools.export import memory_plan, profile_card, profile_file, tiny_vae
from tools.tritonserver import TritonServer

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]  # an export on the way

PROFILE = """
base = "self-forcing-1.3b"
name = "small"
fps = 4

[text_encoder]
length = 16
vocabulary = 30
width = 8
head_width = 4
heads = 3
feed_forward = 12
layers = 2

[vae]
base_width = 4

[tiny_vae]
widths = [8, 6, 6, 4]

[transformer]
heads = 2
head_width = 12
feed_forward = 32
layers = 2
time_width = 16

[engine]
device = "cpu"
precision = "fp32"
picture_precision = "fp32"
text_device = "cpu"
text_precision = "fp32"
runtime = "onnx"

[card]
sizes = ["96x64"]
durations_s = [2]
operations = ["text-to-video", "image-to-video"]

[card.durations_s_by_operation]
text-to-video = [2]
image-to-video = [3]
"""


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A folder like Wan2.1-T2V-1.3B, whose transformer is not used, and two files next to it."""
    folder = tmp_path_factory.mktemp("checkpoints")
    official = folder / "Wan2.1-T2V-1.3B"
    vae = weights_files.drawn(AutoencoderKLWan(base_dim=4, z_dim=16), 1)
    weights_files.official("Wan2.1_VAE.pth", weights_files.official_vae)(official, dict(vae.state_dict()))
    text = weights_files.text_encoder()
    weights_files.official("models_t5_umt5-xxl-enc-bf16.pth", weights_files.official_text_encoder)(
        official, dict(text.state_dict())
    )
    sizes = {"num_attention_heads": 2, "attention_head_dim": 12, "in_channels": 16, "out_channels": 16, "num_layers": 2}
    transformer = weights_files.drawn(WanTransformer3DModel(**sizes, text_dim=8, freq_dim=16, ffn_dim=32), 1)
    state = dict(transformer.state_dict())
    weights_files.official("diffusion_pytorch_model.safetensors", weights_files.official_transformer)(
        official, {name: torch.full_like(tensor, float("nan")) for name, tensor in state.items()}
    )
    weights_files.self_forcing("generator_ema", "generator", leftover="_fsdp_wrapped_module.")(folder, state)
    tiny = tiny_vae.TinyVae(16, (8, 6, 6, 4))
    weights_files.taehv(folder, dict(weights_files.drawn(tiny, 1).state_dict()))
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁a", -1.0), ("▁wave", -1.0)]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=2))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    (official / "google" / "umt5-xxl").mkdir(parents=True)
    tokenizer.save(str(official / "google" / "umt5-xxl" / "tokenizer.json"))
    return [official, folder / "causal_forcing.pt", folder / "taew2_1.pth"]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("profiles") / "small.toml"
    path.write_text(PROFILE)
    return path


def export(*arguments: object) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "tools.export", *map(str, arguments)]
    return subprocess.run(command, cwd=REPOSITORY.parent, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, file: Path, checkpoints: list[Path]) -> Iterator[TritonServer]:
    repository = tmp_path_factory.mktemp("models")
    given = [each for path in checkpoints for each in ("--weights", path)]
    done = export("--profile", file, "--repository", repository, *given)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "causal_forcing.pt (self-forcing, generator_ema)" in done.stdout
    with TritonServer(repository, state=tmp_path_factory.mktemp("triton")) as running:
        yield running


async def test_a_profile_from_published_files_makes_videos_of_either_quality(
    database: str, tmp_path: Path, file: Path, server: TritonServer
) -> None:
    chosen = profile_file.load(str(file))
    cards = tmp_path / "models.toml"
    cards.write_text("\n".join(profile_card.toml(chosen, memory_plan.memory_plan(chosen))))

    def small(values: dict[str, object]) -> None:
        values["models_file"] = cards

    backend = TritonBackend(server.grpc_address)
    await backend.check()
    async with served(database, tmp_path, {"triton": (backend, 2)}, change=small) as i2v:
        specs = [text_spec("a wave", model="small", seconds=2, seed=3, quality=each) for each in (1, 2)]
        jobs = [await i2v.ended((await i2v.submit(spec)).name) for spec in specs]
        assert [job.state for job in jobs] == [job_pb2.Job.SUCCEEDED] * 2, jobs
        for job in jobs:
            (tmp_path / "video.mp4").write_bytes(await i2v.download(job.output.asset))
            with av.open(tmp_path / "video.mp4") as video:
                sizes = [(frame.width, frame.height) for frame in video.decode(video=0)]
            assert sizes == [(96, 64)] * 9
        assert await i2v.unsigned(jobs[0]) != await i2v.unsigned(jobs[1])
    await backend.close()


def test_an_export_without_weights_reports_what_to_pass(file: Path, tmp_path: Path) -> None:
    done = export("--profile", file, "--repository", tmp_path / "models")
    assert done.returncode == 1
    assert "needs trained weights" in done.stderr
    assert "--weights" in done.stderr
    assert not (tmp_path / "models" / "profile" / "1" / "profile.json").exists()


def test_weights_of_another_shape_stop_the_export_and_are_named(
    file: Path, tmp_path: Path, checkpoints: list[Path]
) -> None:
    other = tmp_path / "other.toml"
    other.write_text(f'base = "{file}"\nname = "other"\n[transformer]\nfeed_forward = 48\n')
    given = [each for path in checkpoints for each in ("--weights", path)]
    done = export("--profile", other, "--repository", tmp_path / "models", *given)
    assert done.returncode == 1
    assert "causal_forcing.pt" in done.stderr
    assert "blocks.0.ffn.0.weight" in done.stderr
    assert "48" in done.stderr


def test_a_missing_path_is_reported_immediately(file: Path) -> None:
    done = export("--profile", file, "--weights", "nowhere.pt")
    assert done.returncode == 2
    assert "nowhere.pt: there is no such file or folder" in done.stderr
