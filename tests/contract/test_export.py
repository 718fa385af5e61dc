"""Every exported graph against the libraries themselves, eager and uncached, on the same weights."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from diffusers.models.transformers.transformer_wan import WanAttention, WanAttnProcessor
from torch.nn.functional import scaled_dot_product_attention

from tools.export import build_record, profile_file, text_and_image_encoders, vae, wan_transformer
from tools.export.graph import Graph
from tools.export.module_weights import LoadedWeights, SeededWeights
from tools.export.profile import Profile
from tools.export.weights import Weights
from tools.model_code import REPOSITORY, load
from tools.nano import training_pictures
from tools.nano.train_vae import as_clip

NANO = profile_file.load("nano")
assert NANO.image_encoder is not None
assert NANO.schedule is not None
TOLERANCE = 1e-4


@dataclass(frozen=True)
class Models:
    """The modules that nano was exported from, in torch."""

    text_encoder: text_and_image_encoders.TextEncoder
    image_encoder: text_and_image_encoders.ImageEncoder
    vae: Any
    transformer: Any

    @classmethod
    def of(cls, chosen: Profile) -> "Models":
        loaded = LoadedWeights(Weights.find(chosen.shipped))
        assert chosen.image_encoder is not None
        return cls(
            text_and_image_encoders.text_encoder(chosen, loaded),
            text_and_image_encoders.image_encoder(chosen.image_encoder, loaded, torch.float32),
            vae.vae(chosen, loaded),
            wan_transformer.transformer(chosen, loaded),
        )


@pytest.fixture(scope="module")
def models() -> Iterator[Models]:
    with torch.inference_mode():
        yield Models.of(NANO)


def run(model: str, **inputs: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(
        str(REPOSITORY / model / "1" / "model.onnx"), providers=["CPUExecutionProvider"]
    )
    made: np.ndarray = session.run(None, inputs)[0]
    return made


def random(*shape: int, key: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(key))


def farthest(one: np.ndarray, other: torch.Tensor) -> float:
    assert one.shape == tuple(other.shape)
    return float(np.abs(one - other.numpy()).max())


def test_the_repository_is_what_this_exporter_makes_of_this_profile() -> None:
    assert build_record.is_built(REPOSITORY, build_record.source_of(NANO, NANO.shipped)), (
        "run `make models` and commit what it builds"
    )


def test_a_second_export_does_nothing_and_is_quick() -> None:
    # The slow part is the import of the libraries, which happens only when there is work for them.
    script = "import sys; from tools.export.__main__ import main; main(); print('torch' in sys.modules)"
    command = [sys.executable, "-c", script, "--profile", "nano", "--repository", str(REPOSITORY)]
    done = subprocess.run(command, cwd=REPOSITORY.parent, capture_output=True, text=True, check=True)
    assert re.search(r"nothing to do\nFalse\n$", done.stdout), done.stdout


def test_a_changed_file_or_profile_requires_a_new_export(tmp_path: Path) -> None:
    source = build_record.source_of(NANO, NANO.shipped)
    files = json.loads((REPOSITORY / build_record.RECORD).read_text())["files"]
    for file in (*files, str(build_record.RECORD)):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).symlink_to(REPOSITORY / file)
    assert build_record.is_built(tmp_path, source)
    assert not build_record.is_built(tmp_path, build_record.source_of(replace(NANO, fps=24), NANO.shipped))
    assert not build_record.is_built(tmp_path, build_record.source_of(NANO, random=True))
    changed = tmp_path / next(iter(files))
    changed.unlink()
    assert build_record.missing(tmp_path) == [next(iter(files))]
    changed.write_bytes(b"something else")
    assert build_record.damaged(tmp_path) == [next(iter(files))]
    assert not build_record.is_built(tmp_path, source)


def test_a_repository_that_was_never_built_lacks_its_stamp(tmp_path: Path) -> None:
    assert build_record.missing(tmp_path) == [str(build_record.RECORD)]


def test_changed_weights_require_a_new_export(tmp_path: Path) -> None:
    file = tmp_path / "weights.pt"
    file.write_bytes(b"1")
    before = build_record.source_of(NANO, [file])
    assert before == build_record.source_of(NANO, [tmp_path]) != build_record.source_of(NANO)
    file.write_bytes(b"22")
    assert build_record.source_of(NANO, [file]) != before


def test_an_unknown_profile_is_refused_with_the_list_of_profiles() -> None:
    with pytest.raises(profile_file.UnknownProfile, match="nano"):
        profile_file.load("giga")


def test_the_text_encoder_is_umt5_with_padding_zeroed(models: Models) -> None:
    tokenizer = load("tokenizer", "tokenize_prompt").PromptTokenizer(REPOSITORY / "tokenizer" / "1")
    ids, mask = (torch.from_numpy(each) for each in tokenizer("a cat walks on the beach"))
    wanted = models.text_encoder.model(input_ids=ids, attention_mask=mask).last_hidden_state
    wanted[0, int(mask.sum()) :] = 0
    assert farthest(run("text_encoder", input_ids=ids.numpy(), attention_mask=mask.numpy()), wanted) < TOLERANCE


def as_clip_sees(encoder: text_and_image_encoders.ImageEncoder, picture: torch.Tensor) -> torch.Tensor:
    """As Wan feeds it: resized without a filter and without keeping the shape, then normalised."""
    side = NANO.image_encoder.size
    mean, std = (
        torch.tensor(each).view(1, 3, 1, 1)
        for each in (text_and_image_encoders.CLIP_MEAN, text_and_image_encoders.CLIP_STD)
    )
    square = torch.nn.functional.interpolate(picture, (side, side), mode="bicubic", align_corners=False)
    pixels = square.mul(0.5).add(0.5).sub(mean).div(std)
    seen: torch.Tensor = encoder.model(pixels, output_hidden_states=True).hidden_states[-2]
    return seen


@pytest.mark.parametrize(("height", "width"), [(128, 224), (224, 128), (96, 96)])
def test_the_image_encoder_is_clip_up_to_its_last_layer_but_one(models: Models, height: int, width: int) -> None:
    picture = as_clip(training_pictures.judging(height, width, 2)[1]).unsqueeze(0)
    wanted = as_clip_sees(models.image_encoder, picture)
    assert farthest(run("image_encoder", pixels=picture.numpy()), wanted) < TOLERANCE * float(wanted.abs().max())


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> tuple[Graph, onnxruntime.InferenceSession]:
    """An image encoder with random weights: nano's own amplifies rounding differences of noise."""
    torch.manual_seed(0)
    (graph,) = text_and_image_encoders.image_graphs(NANO, SeededWeights(0))
    folder = tmp_path_factory.mktemp("drawn")
    graph.write(folder)
    return graph, onnxruntime.InferenceSession(str(folder / graph.file), providers=["CPUExecutionProvider"])


@pytest.mark.parametrize(("height", "width"), [(128, 224), (480, 832), (96, 96)])
def test_the_image_encoder_takes_noise_of_any_size_as_clip_does(
    drawn: tuple[Graph, onnxruntime.InferenceSession], height: int, width: int
) -> None:
    (graph, session), picture = drawn, random(1, 3, height, width).clamp(-1, 1)
    with torch.inference_mode():
        wanted = as_clip_sees(graph.module, picture)
    made = session.run(None, {"pixels": picture.numpy()})[0]
    assert farthest(made, wanted) < TOLERANCE * float(wanted.abs().max())


@pytest.mark.parametrize(("height", "width"), [(128, 224), (224, 128), (160, 160)])
def test_the_vae_encoder_gives_the_normalised_mean(models: Models, height: int, width: int) -> None:
    pixels = random(1, 3, height, width).clamp(-1, 1)
    mean, std = (torch.tensor(each).view(1, -1, 1, 1, 1) for each in latent_statistics(models))
    wanted = (models.vae.encode(pixels.unsqueeze(2)).latent_dist.mean - mean) / std
    encoder = load("vae_encoder", "picture_encoder").Encoder(REPOSITORY / "vae_encoder" / "1", threads=1)
    assert farthest(encoder.encode(pixels.numpy()), wanted) < TOLERANCE


@pytest.mark.parametrize(("height", "width"), [(16, 28), (28, 16), (20, 20)])
def test_decoding_block_by_block_is_decoding_the_whole_clip(models: Models, height: int, width: int) -> None:
    code = load("vae_decoder", "latent_decoder")
    decoder = code.Decoder(REPOSITORY / "vae_decoder" / "1", threads=2)
    latents = random(1, NANO.vae.channels, 4, height, width)
    mean, std = (torch.tensor(each).view(1, -1, 1, 1, 1) for each in latent_statistics(models))
    wanted = (models.vae.decode(latents * std + mean).sample[0].permute(1, 2, 3, 0) * 127.5 + 127.5).numpy()
    clip = code.Clip()
    made = np.concatenate(
        [decoder.decode(clip, latents[:, :, start:end].numpy()) for start, end in ((0, 1), (1, 3), (3, 4))]
    )
    assert made.shape == wanted.shape == (13, 8 * height, 8 * width, 3)
    assert np.abs(made - wanted).max() <= 0.5 + 127.5 * TOLERANCE  # bytes: rounded, to the nearest


@pytest.mark.parametrize("latent", [(16, 28), (4, 6)])
def test_the_memory_of_a_clip_is_what_the_plan_counts(latent: tuple[int, int]) -> None:
    code = load("vae_decoder", "latent_decoder")
    clip = code.Clip()
    code.Decoder(REPOSITORY / "vae_decoder" / "1", threads=2).decode(clip, np.zeros((1, 16, 2, *latent), np.float32))
    assert clip.bytes == vae.cache_bytes(NANO, *latent)
    halved = profile_file.with_engine(NANO, ["picture_precision=fp16"])
    assert 2 * vae.cache_bytes(halved, *latent) == clip.bytes


def latent_statistics(models: Models) -> tuple[list[float], list[float]]:
    return models.vae.config.latents_mean, models.vae.config.latents_std


class MaskedSelfAttention(WanAttnProcessor):
    """The library's own, with a mask that it takes no argument for."""

    mask: torch.Tensor

    def __call__(self, attn: WanAttention, x: torch.Tensor, context: Any, _: Any, rotary: Any) -> torch.Tensor:
        return super().__call__(attn, x, context, self.mask, rotary)


class WanI2vCrossAttention:
    """The library's own takes the prompt to have 512 tokens, so: text and image apart, their results added."""

    def __call__(self, attn: WanAttention, x: torch.Tensor, context: torch.Tensor, *_: Any) -> torch.Tensor:
        def heads(y: torch.Tensor) -> torch.Tensor:
            return y.unflatten(2, (attn.heads, -1)).transpose(1, 2)

        image, text = context[:, : -NANO.text_encoder.length], context[:, -NANO.text_encoder.length :]
        query = heads(attn.norm_q(attn.to_q(x)))
        from_text = scaled_dot_product_attention(query, heads(attn.norm_k(attn.to_k(text))), heads(attn.to_v(text)))
        keys = heads(attn.norm_added_k(attn.add_k_proj(image)))
        from_image = scaled_dot_product_attention(query, keys, heads(attn.add_v_proj(image)))
        out: torch.Tensor = attn.to_out[0]((from_text + from_image).transpose(1, 2).flatten(2))
        return out


def reference_rollout(models: Models, request: Any) -> torch.Tensor:
    """The video without any cache: each forward has all frames so far, masked so that none sees a later block, nor what
    had left its window.
    """
    model, (height, width) = models.transformer, request.latent_size
    per_frame = height * width // 4
    self_attention = MaskedSelfAttention()
    for block in model.blocks:
        block.attn1.set_processor(self_attention)
        block.attn2.set_processor(WanI2vCrossAttention())
    step_blocks, sink = NANO.schedule.block_latents, NANO.schedule.sink_latents
    kept = NANO.schedule.window_latents - sink - step_blocks
    steps = [1000 * 5 * t / (1000 + 4 * t) for t in (1000, 750, 500, 250)]

    def flow(video: torch.Tensor, frames: int, timestep: float) -> torch.Tensor:
        """Of the last `frames`, which are at `timestep`; all before them are clean, at 0."""
        total = video.shape[2]
        times = torch.zeros(total, per_frame)
        times[total - frames :] = timestep
        blocks = torch.tensor([(frame + step_blocks - 1) // step_blocks for frame in range(total)])
        at, block_of = (each.repeat_interleave(per_frame) for each in (torch.arange(total), blocks))
        begin = (1 + step_blocks * (block_of - 1)).clamp(min=0)
        near = (at[None, :] < sink) | (at[None, :] >= begin[:, None] - kept)
        self_attention.mask = ((block_of[:, None] >= block_of[None, :]) & near)[None, None]
        out = model(
            hidden_states=video,
            timestep=times.view(1, -1),
            encoder_hidden_states=torch.from_numpy(request.prompt_embeddings),
            encoder_hidden_states_image=torch.from_numpy(request.image_tokens),
        ).sample
        return out[:, :, total - frames :]

    noise = load("transformer", "generation_request").noise
    video = torch.from_numpy(request.image_latent)
    for start in range(1, request.latent_frames, step_blocks):
        end = start + step_blocks
        fresh = [
            torch.from_numpy(noise(request.seed, start, end, n, NANO.vae.channels, (height, width))) for n in range(4)
        ]
        x = fresh[0]
        for n, timestep in enumerate(steps):
            clean = x - timestep / 1000 * flow(torch.cat((video, x), 2), step_blocks, timestep)
            if n + 1 < len(steps):
                sigma = steps[n + 1] / 1000
                x = (1 - sigma) * clean + sigma * fresh[n + 1]
        video = torch.cat((video, clean), 2)
    return video[:, :, 1:]


def test_a_rollout_over_the_cache_is_the_rollout_without_one() -> None:
    folder = REPOSITORY / "transformer" / "1"
    settings = load("transformer", "transformer_settings").Settings.read(folder)
    request = load("transformer", "generation_request").Request(
        prompt_embeddings=random(1, NANO.text_encoder.length, NANO.text_encoder.width, key=1).numpy(),
        image_tokens=random(1, 37, NANO.image_encoder.width, key=2).numpy(),
        image_latent=random(1, NANO.vae.channels, 1, 8, 12, key=3).numpy(),
        latent_size=(8, 12),
        latent_frames=7,
        seed=11,
    )
    runtime = load("transformer", "network_runtime_onnx").OnnxRuntime(folder, settings, threads=2, device="cpu")
    rollout = load("transformer", "causal_pipeline").Rollout(runtime)
    made = np.concatenate([block.latents for block in rollout.blocks(request)], axis=2)
    with torch.inference_mode():
        wanted = reference_rollout(Models.of(NANO), request)
    assert farthest(made, wanted) < TOLERANCE


def test_a_text_encoder_in_half_precision_keeps_in_full_precision_what_would_overflow(tmp_path: Path) -> None:
    torch.manual_seed(0)  # the graph is held against torch on tokens that are drawn
    half = profile_file.with_engine(NANO, ["text_precision=fp16"])
    (graph,) = text_and_image_encoders.text_graphs(half, LoadedWeights(Weights.find(NANO.shipped)))
    kinds = {name.split(".")[-2]: parameter.dtype for name, parameter in graph.module.named_parameters()}
    assert (kinds["wo"], kinds["wi_0"], kinds["q"]) == (torch.float32, torch.float16, torch.float16)
    assert "differs from torch" in graph.write(tmp_path)
