"""What tests of the runtime over PyTorch start from: a small model that is exported, a runtime, a slot, a video."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tests.reference.rollout import Way
from tests.reference.small import IMAGE, TEXT_LENGTH, profile, wan
from tests.reference.test_reference import loaded, random
from tools.export import causal_transformer, wan_transformer
from tools.export.profile import Precision
from tools.model_code import load

SIZE = (4, 6)
PER_FRAME = 6
CACHED = 7
"""Latent frames that the cache of `a_runtime` has room for."""

code = load("transformer", "network_runtime_torch")


class Exports:
    """The small model, exported once for each of its kinds below a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, picture: bool = True, precision: Precision = "fp32") -> Path:
        folder = self._folder / f"{precision}-{picture}"
        if not folder.exists():
            folder.mkdir()
            small_profile, module_weights = loaded(folder, picture, precision)
            for artefact in causal_transformer.graphs(
                replace(small_profile, engine=replace(small_profile.engine, runtime="torch")), module_weights
            ):
                artefact.write(folder)
        return folder / "transformer" / "1"


def settings(folder: Path, way: Way | None = None, max_latents: int = CACHED) -> Any:
    """What is exported there, made in this way."""
    small_profile = profile(wan(), way or Way(frames_per_block=2), max_latents=max_latents)
    content = wan_transformer.settings(small_profile).content
    of_way = {key: content[key] for key in content if "latents" in key or "first" in key or "timesteps" in key}
    return replace(load("transformer", "transformer_settings").Settings.read(folder), **of_way)


def a_runtime(folder: Path, **how: Any) -> Any:
    return code.TorchRuntime(folder, settings(folder), "cpu", **how)


def a_slot(folder: Path, *, picture: bool = True) -> Any:
    """With a video begun and three frames cached."""
    slot = a_runtime(folder).slot()
    begin(slot, picture=picture)
    for frame in range(3):
        slot.forward(latents(frame), 0.0, frame, frame, keep=True)
    return slot


def begin(slot: Any, *, picture: bool = True, key: int = 1, size: tuple[int, int] = SIZE) -> None:
    slot.begin(prompt(key), tokens(key) if picture else None, size)


def prompt(key: int = 1) -> np.ndarray:
    return random(1, TEXT_LENGTH, wan().sizes.text_width, key=key).numpy()


def tokens(key: int = 1) -> np.ndarray:
    return random(1, IMAGE.tokens, IMAGE.width, key=key + 100).numpy()


def latents(key: int, frames: int = 1, size: tuple[int, int] = SIZE) -> np.ndarray:
    return random(1, 16, frames, *size, key=key + 200).numpy()


def rollout(runtime: Any, request: Any) -> np.ndarray:
    made = [block.latents for block in load("transformer", "causal_pipeline").Rollout(runtime).blocks(request)]
    return np.concatenate(made, axis=2)


def addresses(slot: Any) -> list[int]:
    memory = slot._cache
    return [each.data_ptr() for each in (memory.keys, memory.values, memory.text, memory.picture)]


SPANS = (1, 0), (2, 1), (2, 3), (2, 5)
FORWARDS = [(frames, start, timestep) for frames, start in SPANS for timestep in (900.0, 0.0)]
"""Of a video of a picture and three blocks of two frames, two forwards each."""


def every_forward(slot: Any) -> list[np.ndarray]:
    begin(slot)
    return [
        slot.forward(latents(start, frames), timestep, start, start, keep=timestep == 0)
        for frames, start, timestep in FORWARDS
    ]


class Recorder:
    """In place of CUDA graphs: a replay repeats the recorded call with its original arguments."""

    def __init__(self) -> None:
        self.recorded = 0
        self.replayed = 0

    def __call__(self, compute: Callable[[], None]) -> Callable[[], None]:
        self.recorded += 1

        def replay() -> None:
            self.replayed += 1
            compute()

        return replay
