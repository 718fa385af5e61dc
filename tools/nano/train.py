"""`python -m tools.nano.train STAGE`: trains one part of nano after another, each from its last saved state.

The stages in their order: `pictures` and `clips` (the VAE), `text`, `latents` (what the others are trained on),
`onset` (the transformer, first blocks alone), `steady` (it goes on over pasts of its own making) and `tiny` (the
decoder of the quality fast).
Everything is kept under var/nano; `python -m tools.nano.publish` makes of it what is shipped.
"""

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKLWan, WanTransformer3DModel
from tokenizers import Tokenizer
from torch import nn

from tools.export import profile_file, text_and_image_encoders, wan_transformer
from tools.export import vae as exported_vae
from tools.export.module_weights import SeededWeights
from tools.export.tiny_vae import TRIMMED, TinyVae
from tools.nano import (
    captions,
    latent_dataset,
    motion,
    sequence_frames,
    train_text_encoder,
    train_transformer,
    train_vae,
    transformer_rollout,
)
from tools.nano.training_loop import Plan, train

ROOT = Path("var/nano")
SEED = 20261128
PLAIN = ("shared", "embed_tokens", "relative_attention", "scale_shift_table", "position_embedding", "class_embedding")
"""Words in the names of tables."""
BF16 = True
"""Whether matrices are multiplied in bf16."""


def plan(stage: str, steps: int, rate: float, limit_s: float) -> Plan:
    """A stage's plan."""
    return Plan(folder=ROOT / stage, steps=steps, rate=rate, seed=SEED, limit_s=limit_s, plain=PLAIN)


def trained(module: nn.Module, stage: str, key: str = "module") -> bool:
    """Loads what a stage has learnt, if it has run."""
    file = ROOT / stage / "state.pt"
    if file.is_file():
        module.load_state_dict(torch.load(file, weights_only=True)[key])
    return file.is_file()


def the_vae(*stages: str) -> AutoencoderKLWan:
    """The VAE as the last of these stages that has run left it."""
    torch.manual_seed(SEED)
    made = exported_vae.fresh(profile_file.load("nano").vae)
    if not any(trained(made, stage) for stage in stages) and stages:
        sys.exit(f"run `python -m tools.nano.train {stages[-1]}` first")
    return made


def pictures(steps: int, limit_s: float) -> bool:
    """The VAE on pictures."""
    made = the_vae()
    done = train(made, lambda rng, _: train_vae.picture_loss(made, rng), plan("pictures", steps, 0.02, limit_s))
    print(f"{train_vae.psnr(made):.2f} dB on the pictures that judge")
    return done


def clips(steps: int, limit_s: float) -> bool:
    """The VAE on clips, and still on pictures."""
    made = the_vae("pictures")

    def loss(rng: np.random.Generator, _: int) -> dict[str, torch.Tensor]:
        return dict(train_vae.picture_loss(made, rng, 6) if rng.random() < 0.3 else train_vae.clip_loss(made, rng))

    done = train(made, loss, plan("clips", steps, 0.01, limit_s))
    print(f"{train_vae.psnr(made):.2f} dB on the pictures that judge")
    mean, std = latent_dataset.statistics(made, SEED)
    torch.save({"mean": mean, "std": std}, ROOT / "clips/statistics.pt")
    return done


def the_reader() -> tuple[train_text_encoder.Reader, Tokenizer]:
    """The reader of captions and its vocabulary, which is learnt at the first call."""
    torch.manual_seed(SEED)
    file = ROOT / "text/tokenizer.json"
    if not file.is_file():
        train_text_encoder.saved(train_text_encoder.vocabulary(SEED), file.parent)
    encoder = text_and_image_encoders.text_encoder(profile_file.load("nano"), SeededWeights(SEED)).model
    reader = train_text_encoder.Reader(encoder.train().requires_grad_())
    train_text_encoder.made_loud(reader)
    return reader, Tokenizer.from_file(str(file))


def reading(steps: int, limit_s: float) -> bool:
    """The prompt's encoder."""
    reader, tokenizer = the_reader()
    return train(
        reader,
        lambda rng, _: train_text_encoder.reading_loss(reader, tokenizer, rng),
        plan("text", steps, 0.01, limit_s),
    )


def statistics() -> dict[str, torch.Tensor]:
    """Mean and deviation of each channel of the VAE's latents."""
    known: dict[str, torch.Tensor] = torch.load(ROOT / "clips/statistics.pt", weights_only=True)
    return known


def encode(steps: int, limit_s: float) -> bool:
    """Clips as latents, `steps` files of them."""
    made, folder, known = the_vae("clips"), ROOT / "latents", statistics()
    mean, std = (known[name].view(-1, 1, 1) for name in ("mean", "std"))
    folder.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    for index in range(steps):
        file = folder / f"{index:05}.safetensors"
        if file.is_file():
            continue
        if time.monotonic() - began > limit_s:
            return False
        with torch.autocast("cpu", torch.bfloat16, enabled=BF16):
            shard = latent_dataset.make(made, SEED, index)
        normal = [((each.float() - mean) / std).half() for each in (shard.latents, shard.soft)]
        latent_dataset.write(latent_dataset.Shard(normal[0], shard.pictures, normal[1], shard.motions), file)
    return True


def the_tiny_vae() -> TinyVae:
    """The decoder of the quality `fast`, as it starts."""
    torch.manual_seed(SEED)
    nano = profile_file.load("nano")
    assert nano.tiny_vae is not None
    return TinyVae(nano.vae.channels, nano.tiny_vae.widths)


def tiny(steps: int, limit_s: float) -> bool:
    """The decoder of the quality `fast`: latents of the VAE, and the pixels that they came of."""
    made = the_tiny_vae()
    shards = [each for each in latent_dataset.read(ROOT / "latents") if each.latents.shape[1] >= 7]

    def loss(rng: np.random.Generator, _step: int) -> dict[str, torch.Tensor]:
        shard, clip = shards[rng.integers(len(shards))], rng.integers(latent_dataset.CLIPS)
        count = (1, 4, 7)[int(rng.integers(3))]
        first = shard.pictures[clip].float() / 127.5 - 1
        wanted = motion.clip(first, shard.motions[clip].motion, 1 + 4 * (count - 1))
        latents = shard.latents[clip, :count].float()
        frames, _ = made.decoded(latents + train_vae.NOISE * torch.randn_like(latents), None)
        return train_vae.apart(frames[TRIMMED:], wanted)

    return train(made, loss, plan("tiny", steps, 0.02, limit_s))


class Mover(nn.Module):  # type: ignore[misc]
    """What is trained together: the transformer and the picture's encoder."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(SEED)
        nano = profile_file.load("nano")
        assert nano.image_encoder is not None
        self.transformer: WanTransformer3DModel = wan_transformer.fresh(nano)
        train_transformer.bias_free(self.transformer)
        self.image = text_and_image_encoders.image_encoder(
            nano.image_encoder, SeededWeights(SEED), torch.float32
        ).train()
        self.requires_grad_()


class Sampler:
    """Draws batches from the shards, with captions that are worded differently each time."""

    def __init__(self) -> None:
        nano = profile_file.load("nano")
        assert nano.schedule is not None
        self.schedule, self.length = nano.schedule, nano.text_encoder.length
        reader, self.tokenizer = the_reader()
        trained(reader, "text")
        self.text = text_and_image_encoders.TextEncoder(reader.encoder.eval().requires_grad_(False))
        self.shards: dict[tuple[int, ...], list[latent_dataset.Shard]] = {}
        for shard in latent_dataset.read(ROOT / "latents"):
            self.shards.setdefault(tuple(shard.pictures.shape[2:]), []).append(shard)

    def embedded(self, rng: np.random.Generator, motions: list[captions.RequestedMotion]) -> torch.Tensor:
        """Captions of these motions, read."""
        worded = [train_text_encoder.misspelt(rng, captions.caption(rng, each)) for each in motions]
        with torch.no_grad():
            return self.text(*train_text_encoder.tokens(self.tokenizer, worded, self.length))

    def loss(self, mover: Mover, rng: np.random.Generator, *, onset: bool) -> dict[str, torch.Tensor]:
        """Flow matching on one batch: of first blocks alone, or of stretches over pasts of the model's own making."""
        size, most, blocks = self.schedule.block_latents, self.schedule.max_latents, 1 if onset else 3
        starts = range(1, most - size * blocks + 1, size)
        start = 1 if onset or rng.random() < 0.6 else int(rng.choice(starts))
        shapes = list(self.shards)
        odds = np.array([len(self.shards[each]) for each in shapes], dtype=float)
        shards = self.shards[shapes[rng.choice(len(shapes), p=odds / odds.sum())]]
        shards = [each for each in shards if each.latents.shape[1] >= start + size * blocks]
        chosen = [
            (shards[int(rng.integers(len(shards)))], int(rng.integers(latent_dataset.CLIPS)))
            for _ in range(32 if onset else 8)
        ]
        words = self.embedded(rng, [shard.motions[clip] for shard, clip in chosen])
        if not onset and rng.random() < 0.05:
            soft = torch.stack([shard.soft[int(rng.integers(latent_dataset.SOFT))] for shard, _ in chosen]).float()
            none = soft[:, :0]
            return self.flow(mover, rng, soft, none, sequence_frames.alone(), words, None)
        frames = sequence_frames.blocks_after(self.schedule, start, blocks)
        every = torch.stack([shard.latents[clip][list(frames.indices)] for shard, clip in chosen]).float()
        past, clean = every[:, : frames.clean], every[:, frames.clean :]
        image = None
        if rng.random() > 0.08:
            seen = torch.stack([shard.pictures[clip] for shard, clip in chosen]).float() / 127.5 - 1
            image = mover.image(seen)
        if not onset:
            with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=BF16):
                past = transformer_rollout.own_past(mover.transformer, self.schedule, past, frames, start, words, image)
        return self.flow(mover, rng, clean, past, frames, words, image)

    def flow(self, mover: Mover, rng: np.random.Generator, *rest: object) -> dict[str, torch.Tensor]:
        """Returns the losses of flow matching."""
        clean, past, frames, words, image = rest
        with torch.autocast("cpu", torch.bfloat16, enabled=BF16):
            return dict(
                train_transformer.flow_loss(mover.transformer, self.schedule, rng, clean, past, frames, words, image)  # type: ignore[arg-type]
            )


def starting(steps: int, limit_s: float) -> bool:
    """Trains the transformer on first blocks alone, whose motion depends on the prompt only: so it learns the prompts.

    On longer sequences it would learn to continue the past, and ignore the prompt for a long time.
    """
    mover, sampler = Mover(), Sampler()
    onset = replace(plan("onset", steps, 0.02, limit_s), falling=0.01)
    return train(mover, lambda rng, _: sampler.loss(mover, rng, onset=True), onset)


def steadying(steps: int, limit_s: float) -> bool:
    """Trains the transformer over pasts that it has made itself, to correct its errors instead of adding to them.

    A true past contains all information of the prompt; its own contains less, so the prompt is used. Steps of the onset
    are mixed in, because everything follows from it.
    """
    mover, average, sampler = Mover(), Mover(), Sampler()
    for each in (mover, average):
        if not trained(each, "onset"):
            sys.exit("run `python -m tools.nano.train onset` first")

    def loss(rng: np.random.Generator, _step: int) -> dict[str, torch.Tensor]:
        return sampler.loss(mover, rng, onset=rng.random() < 0.6)

    return train(mover, loss, replace(plan("steady", steps, 0.012, limit_s), falling=0.25), average=average)


STAGES: dict[str, tuple[Callable[[int, float], bool], int]] = {
    "pictures": (pictures, 2200),
    "clips": (clips, 900),
    "text": (reading, 3000),
    "latents": (encode, sum(count for count, _ in latent_dataset.RUNS)),
    "onset": (starting, 400),
    "steady": (steadying, 5800),
    "tiny": (tiny, 500),
}
"""Each with its usual steps."""


def main() -> int:
    """Trains the requested stages; 0 when all steps are done, 2 when time ran out before."""
    parser = argparse.ArgumentParser(prog="python -m tools.nano.train", description=__doc__)
    parser.add_argument("stage", choices=STAGES)
    parser.add_argument("--steps", type=int, help="how many in all (default: the stage's own)")
    parser.add_argument(
        "--limit-s", type=float, default=float("inf"), help="stop after so many seconds; run again to go on"
    )
    options = parser.parse_args()
    stage, steps = STAGES[options.stage]
    return 0 if stage(options.steps or steps, options.limit_s) else 2


if __name__ == "__main__":
    sys.exit(main())
