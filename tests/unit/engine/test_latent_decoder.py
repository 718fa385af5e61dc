"""The decoder without Triton: which feature caches are held, where and for how long, and what is refused."""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper, save_model

from tools.model_code import REPOSITORY, load

code = load("vae_decoder", "latent_decoder")


@pytest.fixture(scope="module")
def decoder() -> Any:
    return code.Decoder(REPOSITORY / "vae_decoder" / "1", threads=1)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def latents(frames: int, key: int = 0) -> np.ndarray:
    return np.random.default_rng(key).standard_normal((1, 16, frames, 4, 6), dtype=np.float32)


def touch(clips: Any, key: int, *, start: bool = False, end: bool = False) -> Any:
    with clips.of(key, start=start, end=end) as clip:
        return clip


def test_the_first_latent_makes_one_frame_and_each_later_one_four(decoder: Any) -> None:
    clip = code.Clip()
    shapes = [decoder.decode(clip, latents(frames)).shape for frames in (1, 2, 1)]
    assert shapes == [(1, 32, 48, 3), (8, 32, 48, 3), (4, 32, 48, 3)]


def test_a_clip_in_pieces_equals_the_whole_clip(decoder: Any) -> None:
    whole = decoder.decode(code.Clip(), latents(5))
    clip = code.Clip()
    pieces = [decoder.decode(clip, latents(5)[:, :, start:end]) for start, end in ((0, 3), (3, 4), (4, 5))]
    assert np.concatenate(pieces).tobytes() == whole.tobytes()


@pytest.mark.parametrize("shape", [(16, 1, 4, 6), (1, 15, 1, 4, 6), (2, 16, 1, 4, 6), (1, 16, 1, 0, 6)])
def test_latents_of_a_wrong_shape_are_refused(decoder: Any, shape: tuple[int, ...]) -> None:
    with pytest.raises(code.BadRequest, match="shape"):
        decoder.decode(code.Clip(), np.zeros(shape, np.float32))


def test_a_clip_keeps_its_size(decoder: Any) -> None:
    clip = code.Clip()
    decoder.decode(clip, latents(1))
    with pytest.raises(code.BadRequest, match="size"):
        decoder.decode(clip, np.zeros((1, 16, 1, 6, 4), np.float32))


def test_the_feature_cache_stays_in_the_runtime_and_has_one_size(decoder: Any) -> None:
    clip, sizes = code.Clip(), []
    for _ in range(3):
        decoder.decode(clip, latents(1))
        assert {type(each) for each in clip.cache} == {onnxruntime.OrtValue}
        assert {each.device_name() for each in clip.cache} == {"cpu"}
        sizes.append(clip.bytes)
    assert sizes == [sum(each.numpy().nbytes for each in clip.cache)] * 3


def test_returned_frames_do_not_change_afterwards(decoder: Any) -> None:
    clip = code.Clip()
    frames = decoder.decode(clip, latents(2))
    before = frames.copy()
    decoder.decode(clip, latents(2, key=1))
    assert frames.tobytes() == before.tobytes()


def test_no_latents_make_no_frames_and_leave_the_clip_as_it_was(decoder: Any) -> None:
    clip = code.Clip()
    assert decoder.decode(clip, latents(0)).shape == (0, 32, 48, 3)
    decoder.decode(clip, latents(1))
    cache = clip.cache
    assert decoder.decode(clip, latents(0)).shape == (0, 32, 48, 3)
    assert clip.cache is cache


def too_large_graphs(folder: Path) -> Path:
    """Two graphs that need a petabyte."""

    def constant(name: str, *values: int) -> Any:
        tensor = helper.make_tensor(name, TensorProto.INT64, [len(values)], values)
        return helper.make_node("Constant", [], [name], value=tensor)

    nodes = [
        constant("much", 1 << 50),
        helper.make_node("ConstantOfShape", ["much"], ["zeros"]),
        helper.make_node("ReduceMax", ["zeros"], ["zero"], keepdims=0),
        helper.make_node("Cast", ["zero"], ["byte"], to=TensorProto.UINT8),
        constant("shape", 1, 32, 48, 3),
        helper.make_node("Expand", ["byte", "shape"], ["frames"]),
    ]
    latent = helper.make_tensor_value_info("latent", TensorProto.FLOAT, [1, 16, 1, "h", "w"])
    frames = helper.make_tensor_value_info("frames", TensorProto.UINT8, None)
    graph = helper.make_graph(nodes, "too_large_graphs", [latent], [frames])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    for name in ("first.onnx", "next.onnx"):
        save_model(model, str(folder / name))
    return folder


def test_a_clip_without_memory_reports_it_and_others_continue(decoder: Any, tmp_path: Path) -> None:
    starved, clips = code.Decoder(too_large_graphs(tmp_path), threads=1), code.Clips(2, 60, Clock())
    other = touch(clips, 1, start=True)
    message = r"^OUT_OF_MEMORY: no room for decoding latents of 4 x 6: .*allocate"
    with pytest.raises(code.OutOfMemory, match=message), clips.of(2, start=True, end=False) as clip:
        starved.decode(clip, latents(1))
    with pytest.raises(code.UnknownClip):
        touch(clips, 2)
    assert len(decoder.decode(touch(clips, 1), latents(1))) == 1 and other.cache is not None


@pytest.mark.parametrize(
    "failure",
    [
        MemoryError(),
        RuntimeError("CUDA failure 2: out of memory ; GPU=0 ; hostname=x"),
        RuntimeError("Available memory of 1 is smaller than requested bytes of 2. Failed to allocate memory"),
        RuntimeError("std::bad_alloc"),
    ],
    ids=["Python", "CUDA", "ONNX Runtime", "C++"],
)
def test_every_way_of_having_no_memory_is_one_error(failure: Exception) -> None:
    text = f"OUT_OF_MEMORY: no room for a test: {failure}"
    with pytest.raises(code.OutOfMemory, match=f"^{re.escape(text)}$"), code.raising_out_of_memory("a test"):
        raise failure


def test_other_failures_are_not_reported_as_out_of_memory() -> None:
    with pytest.raises(ZeroDivisionError), code.raising_out_of_memory("a test"):
        raise ZeroDivisionError


def test_a_gpu_that_the_runtime_cannot_use_is_an_error_and_not_the_cpu() -> None:
    assert "CUDAExecutionProvider" not in onnxruntime.get_available_providers()
    with pytest.raises(RuntimeError, match="onnxruntime-gpu"):
        code.Decoder(REPOSITORY / "vae_decoder" / "1", 1, code.Device("cuda"))


def test_a_gpu_is_requested_by_its_number_with_the_cpu_for_the_rest() -> None:
    (name, settings), rest = code.Device("cuda", 3).providers
    assert (name, settings["device_id"], rest) == ("CUDAExecutionProvider", 3, "CPUExecutionProvider")
    assert code.Device().providers == ["CPUExecutionProvider"]


def test_latents_that_are_not_finite_are_refused(decoder: Any) -> None:
    with pytest.raises(code.BadRequest, match="finite"):
        decoder.decode(code.Clip(), np.full((1, 16, 1, 4, 6), np.nan, np.float32))


def test_a_clip_is_held_from_its_start_to_its_end() -> None:
    held: list[tuple[int, int]] = []
    clips = code.Clips(2, 60, Clock(), lambda *sizes: held.append(sizes))
    clip = touch(clips, 1, start=True)
    assert touch(clips, 1) is clip
    touch(clips, 1, end=True)
    assert held == [(1, 0), (1, 0), (0, 0)]
    with pytest.raises(code.UnknownClip):
        touch(clips, 1)


def test_a_clip_that_restarts_has_an_empty_cache() -> None:
    clips = code.Clips(1, 60, Clock())
    clip = touch(clips, 1, start=True)
    assert touch(clips, 1, start=True) is not clip
    assert len(clips) == 1


def test_a_failed_clip_is_removed() -> None:
    clips = code.Clips(2, 60, Clock())
    touch(clips, 1, start=True)
    with pytest.raises(ZeroDivisionError), clips.of(1, start=False, end=False):
        raise ZeroDivisionError
    with pytest.raises(code.UnknownClip):
        touch(clips, 1)


def test_the_number_of_clips_does_not_exceed_the_limit() -> None:
    clips = code.Clips(2, 60, Clock())
    touch(clips, 1, start=True)
    touch(clips, 2, start=True)
    with pytest.raises(code.TooManyClips):
        touch(clips, 3, start=True)
    touch(clips, 2)
    touch(clips, 1, end=True)
    touch(clips, 3, start=True)


def test_an_idle_clip_is_removed_and_its_memory_released(decoder: Any) -> None:
    clock, held = Clock(), list[tuple[int, int]]()
    clips = code.Clips(1, 60, clock, lambda *sizes: held.append(sizes))
    with clips.of(1, start=True, end=False) as clip:
        decoder.decode(clip, latents(1))
    clock.now = 60
    clips.sweep()
    assert len(clips) == 1
    clock.now = 60.5
    clips.sweep()
    assert (len(clips), held) == (0, [(1, clip.bytes), (0, 0)])
    touch(clips, 2, start=True)


# --- under Triton ---------------------------------------------------------------------------------------------------


class Error:
    INVALID_ARG, UNAVAILABLE, INTERNAL = "INVALID_ARG", "UNAVAILABLE", "INTERNAL"

    def __init__(self, message: str, code: str) -> None:
        self.message, self.code = message, code


class Family:
    COUNTER, GAUGE = "counter", "gauge"

    def __init__(self, name: str, description: str, kind: str) -> None:
        self.name = name

    def Metric(self, labels: dict[str, str]) -> Any:
        metric = SimpleNamespace(name=self.name, labels=labels, value=0)
        metric.set = lambda value: setattr(metric, "value", value)
        metric.increment = lambda value: setattr(metric, "value", metric.value + value)
        return metric


@pytest.fixture
def tiny() -> Iterator[Any]:
    """The tiny decoder's model, begun as Triton does it."""
    utils: Any = SimpleNamespace(
        MetricFamily=Family,
        TritonError=Error,
        Tensor=lambda name, array: array,
        InferenceResponse=lambda output_tensors, error=None: SimpleNamespace(made=output_tensors, error=error),
        get_input_tensor_by_name=lambda request, name: SimpleNamespace(as_numpy=lambda: request[name]),
    )
    parameters = {name: {"string_value": "1"} for name in ("intra_op_thread_count", "max_clips")}
    config = {"parameters": parameters, "sequence_batching": {"max_sequence_idle_microseconds": "60000000"}}
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "triton_python_backend_utils", utils)
        made = load("vae_decoder_tiny", "model").TritonPythonModel()
        made.initialize(
            {
                "model_repository": str(REPOSITORY / "vae_decoder_tiny"),
                "model_version": "1",
                "model_name": "vae_decoder_tiny",
                "model_config": json.dumps(config),
                "model_instance_kind": "CPU",
                "model_instance_device_id": "0",
            }
        )
        yield made
        made.finalize()


def a_request(key: int, frames: int, *, start: bool = True, end: bool = False) -> Any:
    flags = {"START": start, "END": end, "CORRID": key}
    return {name: np.array([value]) for name, value in flags.items()} | {"latents": latents(frames)}


def test_the_tiny_decoder_is_the_same_code_with_other_graphs(tiny: Any, decoder: Any) -> None:
    (answer,) = tiny.execute([a_request(1, 2)])
    assert answer.made[0].shape == (5, 32, 48, 3)
    assert answer.made[0].tobytes() != decoder.decode(code.Clip(), latents(2)).tobytes()
    held = {metric.name: metric.value for metric in (tiny.frames, tiny.held, tiny.taken)}
    assert held["i2v_vae_decoder_frames_total"] == 5 and held["i2v_vae_decoder_sequences"] == 1
    assert held["i2v_vae_decoder_cache_bytes"] > 0
    assert {metric.labels["model"] for metric in (tiny.frames, tiny.held, tiny.taken)} == {"vae_decoder_tiny"}


def test_a_request_without_memory_fails_alone_as_out_of_memory(tiny: Any, tmp_path: Path) -> None:
    able, tiny.decoder = tiny.decoder, code.Decoder(too_large_graphs(tmp_path), threads=1)
    (starved,) = tiny.execute([a_request(1, 1)])
    tiny.decoder = able
    assert starved.error.code == "INTERNAL" and starved.error.message.startswith("OUT_OF_MEMORY: ")
    assert tiny.held.value == 0
    gone, begun = tiny.execute([a_request(1, 1, start=False), a_request(2, 1)])
    assert gone.error.code == "INVALID_ARG" and begun.error is None
    (full,) = tiny.execute([a_request(3, 1)])
    assert full.error.code == "UNAVAILABLE"
