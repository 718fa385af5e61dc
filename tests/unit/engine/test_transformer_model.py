"""Triton's side of the transformer with scripted response senders: what is sent to which, and FINAL exactly once."""

import json
import os
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.support.small_profiles import Seeded, bidirectional
from tools.export import bidirectional_transformer as exported
from tools.model_code import REPOSITORY, load

FINAL = 1
TIMEOUT_S = 60


class Error:
    INVALID_ARG = "INVALID_ARG"
    UNAVAILABLE = "UNAVAILABLE"
    INTERNAL = "INTERNAL"

    def __init__(self, message: str, code: str) -> None:
        self.message, self.code = message, code


class Tensor:
    def __init__(self, name: str, array: np.ndarray) -> None:
        self.name, self.as_numpy = name, lambda: array


class Metric:
    def __init__(self) -> None:
        self.value = 0.0

    def increment(self, by: float) -> None:
        self.value += by

    def set(self, to: float) -> None:
        self.value = to


class MetricFamily:
    COUNTER, GAUGE = "counter", "gauge"

    def __init__(self, name: str, description: str, kind: str) -> None:
        self.name, self.kind = name, kind

    def Metric(self, labels: dict[str, str]) -> Metric:
        return Metric()


class Sender:
    """Keeps what is sent; is cancelled after so many requested forward passes, or when `cancelled` returns True."""

    def __init__(self, after: int = 10**9, on_block: Callable[[], object] = lambda: None) -> None:
        self.sent: list[str] = []
        self.errors: list[str] = []
        self.latents: list[bytes] = []
        self.finished = threading.Event()
        self.cancelled = False
        self._left = after + 1  # there is one more check, before the video begins
        self._on_block = on_block

    def is_cancelled(self) -> bool:
        self._left -= 1
        return self.cancelled or self._left < 0

    def send(self, response: Any = None, flags: int = 0) -> None:
        assert not self.finished.is_set()
        kind = ""
        if response is not None and response.error:
            kind = response.error.code
            self.errors.append(response.error.message)
        elif response is not None:
            kind = f"block {response.tensors['start'][0]}"
            self.latents.append(response.tensors["latents"].tobytes())
            self._on_block()
        self.sent.append(f"{kind} FINAL".strip() if flags == FINAL else kind)
        if flags == FINAL:
            self.finished.set()


def response(output_tensors: list[Tensor], error: Error | None = None) -> Any:
    return SimpleNamespace(tensors={each.name: each.as_numpy() for each in output_tensors}, error=error)


@pytest.fixture(scope="module")
def code() -> Iterator[Any]:
    utils: Any = SimpleNamespace(
        TRITONSERVER_RESPONSE_COMPLETE_FINAL=FINAL,
        TritonError=Error,
        Tensor=Tensor,
        InferenceResponse=response,
        MetricFamily=MetricFamily,
        get_input_tensor_by_name=lambda request, name: request.tensors.get(name),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "triton_python_backend_utils", utils)
        yield load("transformer", "model")


@pytest.fixture(scope="module")
def model(code: Any) -> Iterator[Any]:
    """With two slots."""
    made = code.TritonPythonModel()
    parameters = {"intra_op_thread_count": {"string_value": "1"}, "slots": {"string_value": "2"}}
    made.initialize(
        {
            "model_repository": str(REPOSITORY / "transformer"),
            "model_version": "1",
            "model_config": json.dumps({"parameters": parameters}),
            "model_instance_kind": "CPU",
            "model_instance_device_id": "0",
        }
    )
    yield made
    made.finalize()


def a_request(sender: Sender, **changes: np.ndarray | None) -> Any:
    arrays: dict[str, np.ndarray | None] = {
        "prompt_embeddings": np.ones((1, 128, 128), np.float32),
        "image_tokens": np.ones((1, 37, 128), np.float32),
        "image_latent": np.ones((1, 16, 1, 2, 4), np.float32),
        "latent_size": np.array([2, 4], np.int32),
        "latent_frames": np.array([5], np.int32),
        "seed": np.array([7]),
    }
    arrays.update(changes)
    tensors = {name: Tensor(name, array) for name, array in arrays.items() if array is not None}
    return SimpleNamespace(tensors=tensors, get_response_sender=lambda: sender)


def serve(model: Any, *requests: Any) -> None:
    """Answers them all to their end."""
    model.execute(list(requests))
    for request in requests:
        assert request.get_response_sender().finished.wait(TIMEOUT_S)


def of(model: Any, name: str) -> float:
    value: float = getattr(model.metrics, name).value
    return value


def test_each_block_is_sent_and_final_comes_separately_at_the_end(model: Any) -> None:
    sender = Sender()
    serve(model, a_request(sender))
    assert sender.sent == ["block 1", "block 3", "FINAL"]


@pytest.mark.parametrize("after", range(10))
def test_a_cancel_at_any_forward_ends_with_one_final(model: Any, after: int) -> None:
    sender = Sender(after)
    before = of(model, "forwards")
    serve(model, a_request(sender))
    assert of(model, "forwards") - before == after
    assert sender.sent == ["block 1"] * (after >= 5) + ["FINAL"]


@pytest.mark.parametrize(
    "changes",
    [
        {"latent_frames": np.array([6], np.int32)},
        {"latent_size": np.array([2], np.int32)},
        {"seed": None},
        {"prompt_embeddings": None},
        {"image_latent": np.ones((1, 16, 1, 8, 8), np.float32)},
    ],
    ids=["frames", "size", "seed", "prompt", "picture"],
)
def test_a_bad_request_gets_its_code_with_final_and_others_are_served(
    model: Any, changes: dict[str, np.ndarray | None]
) -> None:
    bad, good = Sender(), Sender()
    serve(model, a_request(bad, **changes), a_request(good))
    assert bad.sent == ["INVALID_ARG FINAL"]
    assert good.sent == ["block 1", "block 3", "FINAL"]


def test_a_failure_gets_its_code_with_final_and_its_slot_continues(model: Any) -> None:
    def break_down() -> None:
        raise OSError("the pipe is broken")

    senders = [Sender(on_block=break_down) for _ in range(3)]
    serve(model, *[a_request(each) for each in senders])
    assert {each.sent[-1] for each in senders} == {"INTERNAL FINAL"}
    good = Sender()
    serve(model, a_request(good))
    assert good.sent == ["block 1", "block 3", "FINAL"]


def test_concurrent_videos_equal_single_ones(model: Any) -> None:
    requests = [{"seed": np.array([seed]), "latent_frames": np.array([7], np.int32)} for seed in (1, 2)]
    alone = [Sender(), Sender()]
    for sender, changes in zip(alone, requests, strict=True):
        serve(model, a_request(sender, **changes))
    both = threading.Barrier(2)  # neither passes its first block before the other has reached it
    concurrent = [Sender(on_block=lambda: both.wait(TIMEOUT_S)) for _ in range(2)]
    serve(model, *[a_request(sender, **changes) for sender, changes in zip(concurrent, requests, strict=True)])
    assert [each.latents for each in concurrent] == [each.latents for each in alone]
    assert alone[0].latents != alone[1].latents


def test_a_third_video_waits_and_costs_nothing_if_it_is_cancelled_meanwhile(model: Any) -> None:
    held, release = threading.Barrier(3), threading.Event()

    def hold() -> None:
        if not release.is_set():
            held.wait(TIMEOUT_S)
            release.wait(TIMEOUT_S)

    running, waiting = [Sender(on_block=hold) for _ in range(2)], Sender()
    model.execute([a_request(each) for each in (*running, waiting)])
    held.wait(TIMEOUT_S)
    before = of(model, "forwards")
    assert of(model, "videos") == 2
    assert waiting.sent == []
    waiting.cancelled = True
    release.set()
    for each in (*running, waiting):
        assert each.finished.wait(TIMEOUT_S)
    assert waiting.sent == ["FINAL"]
    assert of(model, "forwards") - before == 2 * 5
    assert of(model, "videos") == 0


def addresses(model: Any) -> set[int]:
    """The addresses of both slots' caches."""
    pipelines = [model.idle.get(), model.idle.get()]
    for each in pipelines:
        model.idle.put(each)
    return {cache.data_ptr() for each in pipelines for cache in each._slot._caches.values()}


def test_finished_and_cancelled_videos_leave_no_memory_behind(model: Any) -> None:
    together = threading.Barrier(2)
    serve(model, *[a_request(Sender(on_block=lambda: together.wait(TIMEOUT_S))) for _ in range(2)])
    held, places = of(model, "cache_bytes"), addresses(model)
    assert held > 0
    for _ in range(3):
        serve(model, *[a_request(Sender(after)) for after in (99, 3, 0, 7)])
    assert (of(model, "cache_bytes"), addresses(model)) == (held, places)


def test_a_video_without_memory_is_reported_and_its_slot_replaced(model: Any) -> None:
    side = 2**21
    senders = [Sender() for _ in range(3)]
    giant = {"image_latent": None, "latent_size": np.array([side, side], np.int32)}
    serve(model, *[a_request(each, **giant) for each in senders])
    assert [each.sent for each in senders] == [["UNAVAILABLE FINAL"]] * 3
    assert all(message.startswith("OUT_OF_MEMORY: ") for each in senders for message in each.errors)
    good = [Sender(), Sender()]
    serve(model, *[a_request(each) for each in good])
    assert [each.sent for each in good] == [["block 1", "block 3", "FINAL"]] * 2


def test_finalizing_waits_for_running_videos(code: Any, model: Any) -> None:
    begun, release = threading.Event(), threading.Event()

    def hold() -> None:
        begun.set()
        release.wait(TIMEOUT_S)

    sender = Sender(on_block=hold)
    other = code.TritonPythonModel()
    other.__dict__.update(model.__dict__, workers=code.ThreadPoolExecutor(1))
    other.execute([a_request(sender)])
    assert begun.wait(TIMEOUT_S)
    ending = threading.Thread(target=other.finalize)
    ending.start()
    assert ending.is_alive()
    release.set()
    ending.join(TIMEOUT_S)
    assert sender.sent == ["block 1", "block 3", "FINAL"]


@pytest.mark.parametrize("runtime", ["onnx", "torch"])
def test_slots_of_a_bidirectional_profile_share_one_denoiser(code: Any, tmp_path: Path, runtime: str) -> None:
    changed = bidirectional()
    for artefact in exported.graphs(replace(changed, engine=replace(changed.engine, runtime=runtime)), Seeded()):
        artefact.write(tmp_path)
    folder = tmp_path / "transformer" / "1"
    make = code.maker(folder, load("transformer", "transformer_settings").Settings.read(folder), 1, "cpu")
    make().warm_up()
    assert make() is make()
    assert make().cache_bytes == 0


def test_videos_are_made_at_a_lower_priority_so_that_the_decoder_goes_first(model: Any) -> None:
    def niceness(thread: int = 0) -> int:
        return os.getpriority(os.PRIO_PROCESS, thread)

    assert model.workers.submit(niceness).result() == min(niceness() + 10, 19)
