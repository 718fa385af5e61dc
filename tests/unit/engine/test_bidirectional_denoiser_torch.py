"""The bidirectional pipeline's forwards over PyTorch: their memory, and that videos do not affect each other."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.support.small_profiles import Seeded, bidirectional
from tests.support.torch_runtime import Recorder
from tools.export import bidirectional_transformer as exported
from tools.model_code import load

GRID = (3, 4, 6)
PROFILE = bidirectional()

code, runtimes = load("transformer", "bidirectional_denoiser_torch"), load("transformer", "network_runtime_torch")
out_of_memory = load("transformer", "network_runtime").OutOfMemory


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


class Exports:
    """The small model with so many layers, exported once; and a new runtime over it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def folder(self, layers: int = 2) -> Path:
        folder = self._folder / str(layers)
        if not folder.exists():
            folder.mkdir()
            profile = replace(PROFILE, engine=replace(PROFILE.engine, runtime="torch"))
            profile = replace(profile, transformer=replace(profile.transformer, layers=layers))
            for artefact in exported.graphs(profile, Seeded()):
                artefact.write(folder)
        return folder / "transformer" / "1"

    def __call__(self, layers: int = 2, **changes: Any) -> Any:
        folder = self.folder(layers)
        settings = replace(load("transformer", "transformer_settings").Settings.read(folder), **changes)
        return runtimes.TorchRuntime(folder, settings, "cpu")


@pytest.fixture(scope="module")
def a_runtime(tmp_path_factory: pytest.TempPathFactory) -> Exports:
    return Exports(tmp_path_factory.mktemp("small"))


def random(*shape: int, key: int) -> np.ndarray:
    return np.random.default_rng(key).standard_normal(shape, dtype=np.float32)


def a_video(runtime: Any, key: int = 1, *, prompts: int = 2, grid: tuple[int, int, int] = GRID) -> Any:
    settings = runtime.settings
    given = [random(*settings.prompt_shape, key=key + 100 * prompt) for prompt in range(prompts)]
    return code.TorchDenoiser(runtime).video(given, random(*settings.image_shape, key=key + 50), grid)


def latents(key: int, grid: tuple[int, int, int] = GRID) -> np.ndarray:
    return random(1, 36, *grid, key=key)


def flows(video: Any, key: int = 1, grid: tuple[int, int, int] = GRID) -> list[bytes]:
    """Of three steps by either prompt."""
    steps = [(latents(key + step, grid), timestep) for step, timestep in enumerate((999.0, 500.0, 20.0))]
    return [video.forward(prompt, *step).tobytes() for step in steps for prompt in range(2)]


def storages(video: Any, *names: str) -> dict[int, int]:
    """Bytes by address, of what the prompts' memories have by these names."""
    held = [getattr(memory, name) for memory in video._caches for name in names]
    return {each.data_ptr(): each.untyped_storage().nbytes() for each in held}


@pytest.mark.parametrize("layers", [1, 2, 5])
@pytest.mark.parametrize("prompts", [1, 2])
def test_keys_and_values_take_the_same_for_any_number_of_layers_and_prompts(
    a_runtime: Exports, layers: int, prompts: int
) -> None:
    runtime = a_runtime(layers)
    video, settings = a_video(runtime, prompts=prompts), runtime.settings
    dim, tokens = settings.heads * settings.head_width, 3 * 2 * 3
    assert sum(storages(video, "keys", "values").values()) == 2 * tokens * dim * 4
    assert sum(storages(video, "text").values()) == prompts * layers * 2 * settings.text_length * dim * 4
    assert sum(storages(video, "picture").values()) == layers * 2 * settings.image_tokens * dim * 4


def test_concurrent_videos_equal_single_ones(a_runtime: Exports) -> None:
    """After another video, during another, step by step in turn, and in separate threads."""
    runtime = a_runtime()
    grids = {1: GRID, 2: GRID, 3: (1, 8, 4)}
    alone = {key: flows(a_video(a_runtime(), key, grid=grid), key, grid) for key, grid in grids.items()}
    for key, grid in grids.items():
        video = a_video(runtime, key, grid=grid)
        assert flows(video, key, grid) == alone[key]
        video.end()

    one, other = a_video(runtime, 1), a_video(runtime, 2)
    assert (flows(one, 1), flows(other, 2), flows(one, 1)) == (alone[1], alone[2], alone[1])

    def make(key: int) -> list[bytes]:
        torch.set_num_threads(1)  # holds for a thread
        return flows(a_video(runtime, key, grid=grids[key]), key, grids[key])

    with ThreadPoolExecutor(3) as threads:
        assert list(threads.map(make, grids)) == list(alone.values())


def test_a_flow_does_not_change_afterwards(a_runtime: Exports) -> None:
    video = a_video(a_runtime())
    first = video.forward(0, latents(1), 500.0)
    before = first.copy()
    video.forward(1, latents(2), 400.0)
    assert np.array_equal(first, before)


def test_the_first_forward_of_each_prompt_is_recorded_and_then_replayed(a_runtime: Exports) -> None:
    wanted, recording = flows(a_video(a_runtime())), a_runtime()
    recording.record = recorder = Recorder()
    video = a_video(recording)
    assert flows(video) == wanted
    assert (recorder.recorded, recorder.replayed) == (2, 4)
    video.end()
    assert flows(a_video(recording)) == wanted
    assert (recorder.recorded, recorder.replayed) == (4, 8)


def test_a_forward_is_one_graph_for_a_compiler(a_runtime: Exports) -> None:
    runtime = a_runtime()
    plain = flows(a_video(runtime))
    video = a_video(runtime)
    runtime.network = torch.compile(runtime.network.__call__, backend="eager", fullgraph=True)
    assert flows(video) == plain


def test_stages_are_compiled_once_for_all_layers_and_prompts(a_runtime: Exports) -> None:
    runtime, compiled, wan = a_runtime(), [], load("transformer", "wan_network")
    plain = flows(a_video(runtime))

    def backend(module: Any, _examples: Any) -> Any:
        compiled.append(module)
        return module

    runtime.network = wan.Wan(
        runtime.settings,
        wan.weights_in(a_runtime.folder() / "weights.safetensors", "cpu"),
        lambda stage: torch.compile(stage, backend=backend, fullgraph=True, dynamic=False),
    )
    assert flows(a_video(runtime)) == plain
    assert flows(a_video(runtime)) == plain
    assert len(compiled) == 5


def test_a_video_without_memory_reports_it_and_the_next_one_works(a_runtime: Exports) -> None:
    runtime = a_runtime()
    before = flows(a_video(runtime))
    with pytest.raises(out_of_memory, match=r"^OUT_OF_MEMORY: .*memory") as caught:
        a_video(runtime, grid=(3, 4_000_000_000, 6))
    assert caught.value.__cause__ is None
    assert flows(a_video(runtime)) == before


def test_a_forward_without_memory_releases_the_memory_of_the_video(a_runtime: Exports) -> None:
    runtime = a_runtime()
    before, video, network = flows(a_video(runtime)), a_video(runtime), runtime.network

    def fail(*_: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")

    runtime.network = fail
    with pytest.raises(out_of_memory, match=r"^OUT_OF_MEMORY: CUDA out of memory"):
        video.forward(0, latents(1), 500.0)
    assert (video._caches, video._buffers, video._replays) == ([], None, {})
    video.end()
    runtime.network = network
    assert flows(a_video(runtime)) == before


def test_the_weights_of_a_transformer_that_takes_no_condition_are_refused(a_runtime: Exports) -> None:
    with pytest.raises(ValueError, match=r"patch_embedding.weight as .*\(48, 36, 1, 2, 2\), not .*\(48, 16, 1, 2, 2\)"):
        a_runtime(condition_channels=0)
