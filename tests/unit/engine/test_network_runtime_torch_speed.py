"""How the runtime over PyTorch is compiled and recorded, and its errors about memory; without a compiler or a GPU."""

import threading
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from tests.reference.test_reference import VIDEOS, Video, farthest
from tests.support.torch_runtime import (
    Exports,
    Recorder,
    a_runtime,
    a_slot,
    begin,
    code,
    every_forward,
    latents,
    settings,
)
from tools.model_code import load


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Exports:
    return Exports(tmp_path_factory.mktemp("small"))


def test_a_video_without_memory_reports_it_and_releases_its_memory(export: Exports) -> None:
    slot = a_slot(export())
    before = slot.forward(latents(7), 500.0, 0, 0, keep=False)
    with pytest.raises(load("transformer", "network_runtime").OutOfMemory, match=r"^OUT_OF_MEMORY: .*memory") as caught:
        begin(slot, size=(4_000_000_000, 6))
    assert caught.value.__cause__ is None
    assert slot.bytes == 0
    begin(slot)
    assert slot.forward(latents(7), 500.0, 0, 0, keep=False).tobytes() == before.tobytes()


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        MemoryError(),
    ],
    ids=str,
)
def test_out_of_memory_is_distinguished_from_other_failures(error: Exception) -> None:
    out_of_memory = load("transformer", "network_runtime").OutOfMemory
    with pytest.raises(out_of_memory, match=r"^OUT_OF_MEMORY: "), code.raising_out_of_memory():
        raise error
    with pytest.raises(out_of_memory, match=r"^OUT_OF_MEMORY: "), code.raising_out_of_memory():
        try:
            raise error
        finally:
            raise RuntimeError("the recording was broken off")
    with pytest.raises(RuntimeError, match=r"^a shape"), code.raising_out_of_memory():
        raise RuntimeError("a shape that does not fit")


def test_the_weights_of_another_profile_are_refused(export: Exports) -> None:
    folder = export()
    for changes, complaint in (
        ({"feed_forward": 99}, r"ffn.net.0.proj.weight as .*\(99,"),
        ({"precision": "bf16"}, ""),
    ):
        with pytest.raises(ValueError, match=f"weights.safetensors has .*{complaint}"):
            code.TorchRuntime(folder, replace(settings(folder), **changes), "cpu")


def test_a_forward_is_one_graph_for_a_compiler(export: Exports) -> None:
    runtime = a_runtime(export())
    slot = runtime.slot()
    begin(slot)
    plain = slot.forward(latents(7, 2), 500.0, 5, 0, keep=False)
    runtime.network = torch.compile(runtime.network.__call__, backend="eager", fullgraph=True)
    assert slot.forward(latents(7, 2), 500.0, 5, 0, keep=False).tobytes() == plain.tobytes()


def test_stages_are_compiled_once_for_each_number_of_frames(export: Exports) -> None:
    """Neither for each layer nor for each length of the cache, though they write into it."""
    runtime, compiled = a_runtime(export()), []

    def backend(module: Any, _examples: Any) -> Any:
        compiled.append(module)
        return module

    plain = every_forward(runtime.slot())
    staged = load("transformer", "wan_network").Wan(
        runtime.settings,
        load("transformer", "wan_network").weights_in(export() / "weights.safetensors", "cpu"),
        lambda stage: torch.compile(stage, backend=backend, fullgraph=True, dynamic=False),
    )
    runtime.network = staged
    with torch.inference_mode():
        assert all(np.array_equal(*each) for each in zip(plain, every_forward(runtime.slot()), strict=True))
    assert len(compiled) == 2 * 5


def test_the_first_forward_of_a_kind_is_recorded_and_then_replayed(export: Exports) -> None:
    wanted, recording = every_forward(a_runtime(export()).slot()), a_runtime(export())
    recording.record = recorder = Recorder()
    slot = recording.slot()
    for _ in range(3):
        made = every_forward(slot)
        assert all(np.array_equal(*each) for each in zip(wanted, made, strict=True))
    assert (recorder.recorded, recorder.replayed) == (4, 3 * 8 - 4)
    begin(slot, size=(8, 6))  # what was recorded pointed into buffers that are gone
    slot.forward(latents(1, 1, (8, 6)), 900.0, 0, 0, keep=False)
    assert (recorder.recorded, recorder.replayed) == (5, 3 * 8 - 4)


@pytest.mark.parametrize("video", VIDEOS.values(), ids=VIDEOS)
def test_after_a_warm_up_no_forward_of_a_video_is_the_first_of_its_kind(export: Exports, video: Video) -> None:
    folder = export(picture=video.picture)
    runtime = code.TorchRuntime(folder, settings(folder, video.way, video.frames), "cpu")
    runtime.record = recorder = Recorder()
    made = load("transformer", "causal_pipeline").Rollout(runtime)
    made._slot.warm_up((4, 6))
    warm, forwards = recorder.recorded, []
    assert (warm, recorder.replayed) == (len(code.positions(runtime.settings)), 0)
    blocks = [block.latents for block in made.blocks(video.request(), count=forwards.append)]
    assert recorder.recorded == warm
    assert recorder.replayed == len(forwards)
    assert farthest(np.concatenate(blocks, axis=2), video.by_the_reference()) < 2e-5


def test_more_sizes_are_compiled_than_torch_would_in_any_thread(export: Exports) -> None:
    runtime, made = a_runtime(export(), compile=True), []
    double = torch.compile(lambda x: 2 * x, backend="eager", fullgraph=True, dynamic=False)

    def work() -> None:
        with runtime.exclusive():
            made.extend(double(torch.ones(size)).sum().item() for size in range(2, 22))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert made == [2 * size for size in range(2, 22)]


def test_a_slot_that_releases_its_cache_holds_nothing_after_a_video(export: Exports) -> None:
    runtime = a_runtime(export())
    runtime.settings = replace(runtime.settings, keep_cache=False)
    slot = runtime.slot()
    begin(slot)
    before = slot.forward(latents(7), 500.0, 0, 0, keep=True)
    slot.end()
    assert slot.bytes == 0
    begin(slot)
    assert slot.forward(latents(7), 500.0, 0, 0, keep=True).tobytes() == before.tobytes()
