"""Builds every file of a profile, part by part, and the description that the server returns."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from tools.export import (
    bidirectional_transformer,
    build_record,
    causal_transformer,
    repository_folder,
    shared_weights,
    text_and_image_encoders,
    tiny_vae,
    vae,
)
from tools.export.artefact import Artefact, Copied, Document
from tools.export.graph import Graph
from tools.export.memory_plan import memory_plan
from tools.export.module_weights import LoadedWeights, ModuleWeights, RandomWeights
from tools.export.profile import Profile
from tools.export.weights import Weights, WeightsError


def build(
    profile: Profile, target: Path, say: Callable[[str], None], *, paths: Sequence[Path] = (), random: bool = False
) -> str:
    """Builds the profile into a repository and returns its digest; every step is reported by `say`.

    `paths` hold the weights of a trained profile, unless they come with it; `random` replaces them by noise.

    Raises:
        WeightsError: weights are missing, or are not this profile's.
        ExportError: a graph does not compute what torch computes.

    The build record is then not written.
    """
    paths = paths or ([] if random else profile.shipped)
    weights = Weights.find(paths) if paths else None
    module_weights = _module_weights(profile, weights, random)
    for line in weights.describe() if weights is not None else ():
        say(line)
    repository_folder.prepare(profile, target)
    (target / build_record.RECORD).unlink(missing_ok=True)
    repository_folder.clear(target)
    files: list[str] = []
    torch.manual_seed(0)
    for artefact in artefacts(profile, module_weights, weights):
        began = time.monotonic()
        if isinstance(artefact, Graph) and profile.shipped:
            artefact = replace(artefact, halved=True)
        note = artefact.write(target)
        files += [artefact.file, *artefact.companions]
        size = sum((target / file).stat().st_size for file in (artefact.file, *artefact.companions)) / 1e6
        say(f"{artefact.file:34}{size:8.1f} MB {time.monotonic() - began:6.1f} s  {note}")
    if profile.shipped:
        files += shared_weights.share(target, files)
    digest = build_record.write(
        target, build_record.source_of(profile, paths, random=random), files, served(profile, random=random)
    )
    say(f"digest {digest[:16]}")
    return digest


def _module_weights(profile: Profile, weights: Weights | None, random: bool) -> ModuleWeights:
    if weights is not None:
        return LoadedWeights(weights)
    if random:
        return RandomWeights()
    raise WeightsError(
        f"the profile {profile.name!r} needs trained weights: name the files or folders that hold them with --weights "
        "(docs/models.md says which), or give --random to measure speed without any"
    )


def artefacts(profile: Profile, module_weights: ModuleWeights, weights: Weights | None) -> Iterator[Artefact]:
    """Everything that an export writes except the build record, one part at a time, to save memory."""
    size = profile.text_encoder
    # Without weights there is no vocabulary either: to measure speed, bytes suffice as tokens.
    tokenizer = size.tokenizer if weights is not None else "bytes"
    yield Document(file="tokenizer/1/settings.json", content={"tokenizer": tokenizer, "length": size.length})
    if tokenizer != "bytes" and weights is not None:
        yield Copied(file="tokenizer/1/tokenizer.json", source=weights.tokenizer())
    yield from text_and_image_encoders.text_graphs(profile, module_weights)
    yield from text_and_image_encoders.image_graphs(profile, module_weights)
    yield from (causal_transformer if profile.pipeline == "causal" else bidirectional_transformer).graphs(
        profile, module_weights
    )
    yield from vae.graphs(profile, module_weights)
    yield from tiny_vae.graphs(profile, module_weights)


def served(profile: Profile, *, random: bool = False) -> dict[str, Any]:
    """The answer of the model `profile`, without the digest."""
    schedule, sampler = profile.schedule, profile.sampler
    return {
        "name": profile.name,
        "trained": not random,
        "pipeline": profile.pipeline,
        "fps": profile.fps,
        "spatial_factor": 8,
        "temporal_factor": 4,
        "size_multiple": 16,
        "latent_channels": profile.vae.channels,
        "block_latents": schedule.block_latents if schedule else profile.max_latents,
        "max_latents": profile.max_latents,
        "independent_first_frame": schedule.independent_first_frame if schedule else True,
        "text_length": profile.text_encoder.length,
        "text_on_demand": profile.engine.text_on_demand,
        "image_encoder": profile.image_encoder is not None,
        "decoders": {"quality": "vae_decoder"} | ({"fast": "vae_decoder_tiny"} if profile.tiny_vae else {}),
        "steps": len(schedule.timesteps) if schedule else sampler.steps if sampler else 0,
        "guidance": sampler.guidance if sampler else 1.0,
        "negative_prompt": sampler.negative_prompt if sampler else "",
        "precision": profile.engine.precision,
        "runtime": profile.engine.runtime,
        "memory": memory_plan(profile).totals,
    }
