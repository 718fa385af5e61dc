"""Triton's side of the transformer with a scripted response sender: what is sent, and FINAL exactly once."""

import json
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tools.model_code import REPOSITORY, load

FINAL = 1


class Error:
    INVALID_ARG = "INVALID_ARG"
    INTERNAL = "INTERNAL"

    def __init__(self, message: str, code: str) -> None:
        self.message, self.code = message, code


class Tensor:
    def __init__(self, name: str, array: np.ndarray) -> None:
        self.name, self.as_numpy = name, lambda: array


class Metric:
    def __init__(self, labels: dict[str, str]) -> None:
        self.value = 0

    def increment(self, by: int) -> None:
        self.value += by


class Sender:
    """Keeps what is sent, and is cancelled when asked for the n-th time."""

    def __init__(self, cancelled_at: int = 10**9) -> None:
        self.sent: list[str] = []
        self._left = cancelled_at

    def is_cancelled(self) -> bool:
        self._left -= 1
        return self._left < 0

    def send(self, response: Any = None, flags: int = 0) -> None:
        kind = (
            ""
            if response is None
            else response.error.code
            if response.error
            else f"block {response.tensors['start'][0]}"
        )
        self.sent.append(f"{kind} FINAL".strip() if flags == FINAL else kind)


def response(output_tensors: list[Tensor], error: Error | None = None) -> Any:
    return SimpleNamespace(tensors={each.name: each.as_numpy() for each in output_tensors}, error=error)


@pytest.fixture(scope="module")
def model() -> Iterator[Any]:
    family = SimpleNamespace(Metric=Metric)
    utils: Any = SimpleNamespace(
        TRITONSERVER_RESPONSE_COMPLETE_FINAL=FINAL,
        TritonError=Error,
        Tensor=Tensor,
        InferenceResponse=response,
        MetricFamily=type("MetricFamily", (), {"COUNTER": "counter", "__new__": lambda cls, **_: family}),
        get_input_tensor_by_name=lambda request, name: request.tensors.get(name),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "triton_python_backend_utils", utils)
        patch.setitem(sys.modules, "rollout", load("transformer", "rollout"))
        made = load("transformer", "model").TritonPythonModel()
        config = {"parameters": {"intra_op_thread_count": {"string_value": "1"}}}
        folder = str(REPOSITORY / "transformer")
        made.initialize({"model_repository": folder, "model_version": "1", "model_config": json.dumps(config)})
        yield made


def a_request(sender: Sender, **changes: np.ndarray | None) -> Any:
    arrays: dict[str, np.ndarray | None] = {
        "prompt_embeddings": np.ones((1, 256, 128), np.float32),
        "image_tokens": np.ones((1, 37, 128), np.float32),
        "image_latent": np.ones((1, 16, 1, 2, 4), np.float32),
        "latent_size": np.array([2, 4], np.int32),
        "latent_frames": np.array([5], np.int32),
        "seed": np.array([7]),
    }
    arrays.update(changes)
    tensors = {name: Tensor(name, array) for name, array in arrays.items() if array is not None}
    return SimpleNamespace(tensors=tensors, get_response_sender=lambda: sender)


def test_each_block_is_sent_and_final_comes_alone_at_the_end(model: Any) -> None:
    sender = Sender()
    model.execute([a_request(sender)])
    assert sender.sent == ["block 1", "block 3", "FINAL"]


@pytest.mark.parametrize("after", range(10))
def test_a_cancel_at_any_forward_ends_with_one_final(model: Any, after: int) -> None:
    sender = Sender(cancelled_at=after)
    before = model.forwards.value
    model.execute([a_request(sender)])
    assert model.forwards.value - before == after
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
    model.execute([a_request(bad, **changes), a_request(good)])
    assert bad.sent == ["INVALID_ARG FINAL"]
    assert good.sent == ["block 1", "block 3", "FINAL"]


def test_a_failure_within_gets_its_code_with_final(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def break_down(*_: object) -> None:
        raise MemoryError("no room for the cache")

    monkeypatch.setattr(model.rollout, "blocks", break_down)
    sender = Sender()
    model.execute([a_request(sender)])
    assert sender.sent == ["INTERNAL FINAL"]
