"""How nano is trained, against the libraries and against the way in which it is served."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKLWan, WanTransformer3DModel

from tools.export import profile_file, vae
from tools.nano import publish, sequence_frames, transformer_forward, whole_clip_vae
from tools.nano.muon_and_adam import MuonAndAdam
from tools.nano.training_loop import Plan, train

NANO = profile_file.load("nano")
SMALL = replace(NANO.vae, base_width=8)


def a_vae() -> AutoencoderKLWan:
    torch.manual_seed(0)
    return vae.fresh(SMALL).eval()


def a_transformer() -> WanTransformer3DModel:
    torch.manual_seed(1)
    return WanTransformer3DModel(
        num_attention_heads=2,
        attention_head_dim=24,
        in_channels=16,
        out_channels=16,
        text_dim=32,
        freq_dim=32,
        ffn_dim=48,
        num_layers=2,
        image_dim=32,
        added_kv_proj_dim=48,
    ).eval()


def random(*shape: int, key: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(key))


@pytest.mark.parametrize("frames", [1, 5, 13])
def test_whole_clips_go_through_the_vae_as_the_library_takes_them(frames: int) -> None:
    model, clips = a_vae(), random(2, frames, 3, 32, 48).clamp(-1, 1)
    with torch.inference_mode():
        latents = whole_clip_vae.encode(model, clips)
        wanted = model.encode(clips.transpose(1, 2)).latent_dist.mean
        assert latents.shape == (2, 1 + (frames - 1) // 4, 16, 4, 6)
        assert (latents.transpose(1, 2) - wanted).abs().max() < 1e-5
        made = whole_clip_vae.decode(model, latents).clamp(-1, 1)
        assert made.shape == clips.shape
        assert (made.transpose(1, 2) - model.decode(wanted).sample).abs().max() < 1e-5


def test_latents_are_published_under_the_statistics_of_every_wan_vae() -> None:
    model, clips = a_vae(), random(1, 5, 3, 32, 48).clamp(-1, 1)
    with torch.inference_mode():
        before = whole_clip_vae.encode(model, clips)
        known = {"mean": before.mean((0, 1, 3, 4)), "std": before.std((0, 1, 3, 4))}
        plain = whole_clip_vae.decode(model, before)
        published = publish.normalised(model, known)
        after = whole_clip_vae.encode(published, clips)
        mean, std = (torch.tensor(each) for each in (model.config.latents_mean, model.config.latents_std))
        normal = (after - mean.view(-1, 1, 1)) / std.view(-1, 1, 1)
        wanted = (before - known["mean"].view(-1, 1, 1)) / known["std"].view(-1, 1, 1)
        assert (normal - wanted).abs().max() < 1e-4
        assert (whole_clip_vae.decode(published, after) - plain).abs().max() < 1e-4


def test_one_block_of_a_sequence_is_computed_as_the_library_does() -> None:
    model, latents = a_transformer(), random(2, 2, 16, 8, 12)
    text, image = random(2, 512, 32, key=1), random(2, 7, 32, key=2)  # 512, as the library counts
    frames = sequence_frames.Frames((0, 1), 2, (((0, 1), (0, 1)),))
    with torch.inference_mode():
        made = transformer_forward.flow(model, latents, torch.full((2, 2), 700.0), frames, text, image)
        wanted = model(latents.transpose(1, 2), torch.full((2,), 700.0), text, encoder_hidden_states_image=image)
    assert (made.transpose(1, 2) - wanted.sample).abs().max() < 1e-5


@pytest.mark.parametrize("blocks", [1, 2, 3])
def test_a_sequence_trains_each_block_as_a_rollout_makes_it(blocks: int) -> None:
    """The last noisy block of a sequence sees just what the cache holds when it is made."""
    assert NANO.schedule is not None
    schedule, model = replace(NANO.schedule, block_latents=2, window_latents=5, sink_latents=1), a_transformer()
    text, image = random(1, 9, 32, key=1), random(1, 7, 32, key=2)
    count = 1 + 2 * blocks
    clean, noisy = random(1, count, 16, 8, 12, key=3), random(1, 2 * blocks, 16, 8, 12, key=4)
    frames = sequence_frames.blocks_after(schedule, 1, blocks)
    times = torch.cat((torch.zeros(1, frames.clean), torch.full((1, 2 * blocks), 800.0)), 1)
    with torch.inference_mode():
        sequence = torch.cat((clean[:, : frames.clean], noisy), 1)
        together = transformer_forward.flow(model, sequence, times, frames, text, image)[:, -2:]
        past = transformer_forward.KeyValueCache()
        for start, end in [(0, 1), *((at, at + 2) for at in range(1, count - 2, 2))]:
            past.forget(1, 5 - 2)
            past.keep = True
            zeros = torch.zeros(1, end - start)
            transformer_forward.flow(
                model,
                clean[:, start:end],
                zeros,
                sequence_frames.after_cached(start, end - start, past.frames),
                text,
                image,
                past,
            )
            past.keep = False
        past.forget(1, 5 - 2)
        seen = sequence_frames.after_cached(count - 2, 2, past.frames)
        alone = transformer_forward.flow(model, noisy[:, -2:], torch.full((1, 2), 800.0), seen, text, image, past)
    assert (together - alone).abs().max() < 1e-5


@pytest.mark.parametrize("shape", [(16, 48), (48, 16), (32, 32), (8, 4, 3, 3)])
def test_matrices_and_kernels_step_along_nearly_orthogonal_matrices(shape: tuple[int, ...]) -> None:
    parameter = torch.nn.Parameter(torch.zeros(shape))
    parameter.grad = random(*shape)
    MuonAndAdam([("weight", parameter)], rate=1.0).step()
    flat = parameter.detach().flatten(1)
    values = torch.linalg.svdvals(flat) / max(1.0, flat.shape[0] / flat.shape[1]) ** 0.5
    assert values.min() > 0.6 and values.max() < 1.3
    assert parameter.grad is None


def test_vectors_and_tables_step_as_adam_does_at_a_tenth_of_the_rate() -> None:
    named = [("bias", torch.nn.Parameter(torch.zeros(3))), ("embedding.weight", torch.nn.Parameter(torch.zeros(2, 3)))]
    for _, parameter in named:
        parameter.grad = torch.tensor([1.0, -2.0, 3.0]).expand(parameter.shape)
    MuonAndAdam(named, rate=1.0, plain=["embedding"]).step()
    for _, parameter in named:
        assert torch.allclose(parameter.detach(), torch.tensor([-0.1, 0.1, -0.1]).expand(parameter.shape))


def test_a_stopped_training_continues_as_if_it_had_not_stopped(tmp_path: Path) -> None:
    def run(folder: Path, *limits: float) -> torch.Tensor:
        torch.manual_seed(0)
        module = torch.nn.Linear(4, 4)
        seen: list[int] = []

        def loss(rng: np.random.Generator, step: int) -> dict[str, torch.Tensor]:
            seen.append(step)
            x = torch.from_numpy(rng.normal(size=(8, 4))).float()
            return {"loss": (module(x + 0.1 * torch.randn_like(x)) - x.flip(1)).square().mean()}

        for limit in limits:
            done = train(module, loss, Plan(folder=folder, steps=12, rate=0.02, limit_s=limit, every=4))
        assert done and seen[-1] == 11
        return module.weight.detach().clone()

    whole = run(tmp_path / "whole", float("inf"))
    parts = run(tmp_path / "parts", -1, float("inf"))  # the first ends before its first step
    assert torch.equal(whole, parts)
    assert (tmp_path / "whole" / "log.jsonl").read_text().count("\n") == 3
