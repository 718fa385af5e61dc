"""The picture's encoder without Triton: what it makes with one graph and with two, and what it refuses."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tools.model_code import REPOSITORY, load

code = load("vae_encoder", "picture_encoder")
NANO = REPOSITORY / "vae_encoder" / "1"


@pytest.fixture(scope="module")
def encoder() -> Any:
    return code.Encoder(NANO, 1)


def pixels(height: int = 32, width: int = 48, key: int = 0) -> np.ndarray:
    return np.random.default_rng(key).uniform(-1, 1, (1, 3, height, width)).astype(np.float32)


def described(shapes: dict[str, list[Any] | None]) -> list[Any]:
    return [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]


def save(file: Path, nodes: list[Any], inputs: dict[str, list[Any] | None], outputs: list[str]) -> None:
    graph = helper.make_graph(
        nodes,
        file.stem,
        described(inputs),
        described(dict.fromkeys(outputs)),
        [
            helper.make_tensor("axis", TensorProto.INT64, [1], [0]),
            helper.make_tensor("one", TensorProto.FLOAT, [], [1]),
        ],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), file)


@pytest.fixture
def counting(tmp_path: Path) -> Any:
    """An encoder whose every latent is the cache, which counts, plus the mean of four frames."""
    node = helper.make_node
    mean = node("ReduceMean", ["pixels", "axis"], ["mean"])
    latent = node("Unsqueeze", ["sum", "axis"], ["row"]), node("Transpose", ["row"], ["latent"], perm=[0, 2, 1, 3, 4])
    save(
        tmp_path / "first.onnx",
        [mean, node("Identity", ["mean"], ["sum"]), *latent, node("Identity", ["one"], ["new_cache_0"])],
        {"pixels": [1, 3, None, None]},
        ["latent", "new_cache_0"],
    )
    save(
        tmp_path / "next.onnx",
        [
            mean,
            node("Add", ["mean", "cache_0"], ["sum"]),
            *latent,
            node("Add", ["cache_0", "one"], ["new_cache_0"]),
        ],
        {"pixels": [4, 3, None, None], "cache_0": []},
        ["latent", "new_cache_0"],
    )
    return code.Encoder(tmp_path, 1)


def test_a_picture_is_one_latent_frame(encoder: Any) -> None:
    latent = encoder.encode(pixels())
    assert (latent.shape, latent.dtype) == ((1, 16, 1, 4, 6), np.float32)
    assert latent.tobytes() == encoder.encode(pixels()).tobytes() != encoder.encode(pixels(key=1)).tobytes()


def test_each_later_latent_frame_is_of_four_grey_frames_after_the_cached_ones(counting: Any) -> None:
    made = counting.encode(pixels(), 4)
    assert made.shape == (1, 3, 4, 32, 48)
    assert np.array_equal(made[:, :, 0], pixels())
    assert [made[:, :, n].min() for n in (1, 2, 3)] == [made[:, :, n].max() for n in (1, 2, 3)] == [1, 2, 3]


def test_nothing_is_cached_from_one_picture_to_the_next(counting: Any) -> None:
    once = counting.encode(pixels(), 3).tobytes()
    counting.encode(pixels(64, 16, key=1), 5)
    assert counting.encode(pixels(), 3).tobytes() == once


def test_a_warm_up_runs_the_graphs_that_exist(encoder: Any, counting: Any) -> None:
    encoder.warm_up()
    counting.warm_up()


@pytest.mark.parametrize(
    ("given", "frames", "complaint"),
    [
        (pixels(40, 48), 1, "multiples of 16, not 40 x 48"),
        (pixels(32, 40), 1, "multiples of 16, not 32 x 40"),
        (pixels()[0], 1, "shape"),
        (pixels()[:, :2], 1, "shape"),
        (pixels()[:, :, :0], 1, "shape"),
        (np.full((1, 3, 16, 16), np.nan, np.float32), 1, "finite"),
        (pixels(), 0, "from 1 to 1024, not 0"),
        (pixels(), 1025, "from 1 to 1024, not 1025"),
        (pixels(), 2, "must be 1, not 2: this profile's transformer takes the latent of the picture alone"),
    ],
)
def test_what_cannot_be_encoded_is_refused(encoder: Any, given: np.ndarray, frames: int, complaint: str) -> None:
    with pytest.raises(code.BadRequest, match=complaint):
        encoder.encode(given, frames)


def test_a_graph_for_later_frames_is_found_if_there_is_one(tmp_path: Path) -> None:
    shutil.copy(NANO / "first.onnx", tmp_path)
    (tmp_path / "next.onnx").write_bytes(b"not a graph")
    with pytest.raises(Exception, match=r"next\.onnx"):
        code.Encoder(tmp_path, 1)
