"""One graph: traced from torch, compared with torch on other inputs, then written complete or not at all."""

import logging
import os
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import torch

from tools.export.profile import Precision

TOLERANCE: Mapping[Precision, float] = {"fp32": 1e-4, "fp16": 3e-2, "bf16": 2e-1}
"""The largest difference to torch that an output of a graph may have, over its largest value if that is more than 1."""

OPSET = 23
"""The first with Attention as one node, which ONNX Runtime computes faster than its parts."""

DTYPES: Mapping[Precision, torch.dtype] = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}

INLINE_BYTES = 1 << 30
"""Larger weights are in a file next to the graph; a protobuf has at most 2 GiB."""

SMALL = 256
"""Numbers of a weight that is too small for a Cast."""

Inputs = Mapping[str, torch.Tensor | list[torch.Tensor]]
"""Arguments of a module's forward, in its order; a list is one input of the graph for each of its tensors."""


class ExportError(RuntimeError):
    """A graph does not compute what torch computes."""


@dataclass(frozen=True, kw_only=True)
class Graph:
    """A file of the repository that is traced from a module."""

    file: str
    """Relative to the repository."""
    module: torch.nn.Module
    examples: Sequence[Inputs]
    """The first is traced; the others should differ in every axis that `dynamic` gives to an argument."""
    inputs: Sequence[str]
    outputs: Sequence[str]
    dynamic: Mapping[str, Sequence[int]] = field(default_factory=dict)
    precision: Precision = "fp32"
    halved: bool = False
    """Whether the file holds in FP16 what loses nothing by it: weights that were published so. They are made FP32 again
    when the graph is loaded, and computed with as before."""
    optimize: bool = True
    """Whether the exporter optimises the graph. ONNX Runtime does so too when it loads it. Without, the export of a
    large graph takes half as long, and the graph is as fast."""

    @property
    def companions(self) -> tuple[str, ...]:
        """Files that belong to it: its weights, where they are too many for one file."""
        weights = sum(each.numel() * each.element_size() for each in self.module.parameters())
        return (f"{self.file}.data",) if weights > INLINE_BYTES else ()

    def write(self, repository: Path) -> str:
        """Exports it and returns how it compared. The files appear only afterwards, by renames.

        Raises:
            ExportError: an output differs by more than TOLERANCE.
        """
        self.module.eval()
        target = repository / self.file
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".export-") as folder:
            part = Path(folder) / target.name
            trace(self, part)
            if self.halved:
                halve(part)
            note = self._compared_with_torch(part)
            for companion in self.companions:
                os.replace(part.with_name(Path(companion).name), repository / companion)
            os.replace(part, target)
        return note

    def _compared_with_torch(self, part: Path) -> str:
        providers = onnxruntime.get_available_providers()
        if self.precision == "bf16" and "CUDAExecutionProvider" not in providers:
            return "NOT compared with torch: ONNX Runtime has bf16 on a GPU only"
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # of half precision it warns node by node that it cannot be folded on a CPU
        session = onnxruntime.InferenceSession(str(part), options, providers=providers)
        difference = max(compare(self, session, example) for example in self.examples)
        if not difference <= TOLERANCE[self.precision]:
            raise ExportError(
                f"{self.file} differs from torch by {difference:.1e}, more than {TOLERANCE[self.precision]:.0e}"
            )
        return f"differs from torch by {difference:.1e}"


def trace(graph: Graph, path: Path) -> None:
    """Writes the graph of one forward on the first example, with the axes that `dynamic` names left open."""
    shapes: dict[str, Any] = {}
    for name, value in graph.examples[0].items():
        shape = dict.fromkeys(graph.dynamic.get(name, ()), torch.export.Dim.DYNAMIC) or None
        shapes[name] = [shape] * len(value) if isinstance(value, list) else shape
    for noisy in ("torch.onnx", "onnxscript", "torch.export"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            graph.module,
            (),
            str(path),
            kwargs=dict(graph.examples[0]),
            input_names=list(graph.inputs),
            output_names=list(graph.outputs),
            dynamic_shapes=shapes,
            dynamo=True,
            opset_version=OPSET,
            external_data=bool(graph.companions),
            verbose=False,
            optimize=graph.optimize,
        )


def halve(path: Path) -> None:
    """Stores every large weight of a graph that FP16 holds exactly as FP16, with a Cast behind it; equal ones once."""
    model = onnx.load(path)
    casts, first, again = [], dict[tuple[int, bytes], str](), dict[str, str]()
    for tensor in list(model.graph.initializer):
        key = tensor.data_type, bytes(str(tensor.dims), "ascii") + tensor.raw_data
        if len(tensor.raw_data) >= SMALL and first.setdefault(key, tensor.name) != tensor.name:
            again[tensor.name] = first[key]
            model.graph.initializer.remove(tensor)
    for node in model.graph.node:
        for place, name in enumerate(node.input):
            node.input[place] = again.get(name, name)
    for tensor in model.graph.initializer:
        value = onnx.numpy_helper.to_array(tensor)
        if value.dtype != np.float32 or value.size < SMALL:
            continue
        with np.errstate(over="ignore"):
            half = value.astype(np.float16)
        if np.array_equal(half.astype(np.float32), value):
            name = tensor.name
            tensor.CopyFrom(onnx.numpy_helper.from_array(half, f"{name}_half"))
            casts.append(onnx.helper.make_node("Cast", [f"{name}_half"], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:], model.graph.value_info[:]
    for node in nodes:
        del node.metadata_props[:]  # where in whose source it came from
    model.graph.node.extend(nodes)
    onnx.save(model, path)


def compare(graph: Graph, session: onnxruntime.InferenceSession, example: Inputs) -> float:
    """The largest difference of any output between torch and the graph on one set of inputs, as TOLERANCE has it."""
    got = session.run(None, feed(example, graph.inputs))
    with torch.no_grad():
        wanted = graph.module(**example)
    wanted = wanted if isinstance(wanted, tuple) else (wanted,)
    return max(_difference(one, other) for one, other in zip(got, wanted, strict=True))


def _difference(got: npt.NDArray[Any], wanted: torch.Tensor) -> float:
    if got.shape != tuple(wanted.shape):
        return float("inf")
    other = wanted.float().numpy()
    size = max(1.0, float(np.abs(other).max(initial=0.0)))
    apart = float(np.abs(got.astype(np.float32) - other).max(initial=0.0))
    if not wanted.dtype.is_floating_point:
        apart = max(0.0, apart - 1)  # rounded: a value on an edge may go to either side
    return apart / size


def feed(example: Inputs, inputs: Sequence[str]) -> dict[str, npt.NDArray[Any]]:
    """A module's arguments as the inputs of its graph."""
    tensors = [each for value in example.values() for each in (value if isinstance(value, list) else [value])]
    return {name: tensor.numpy() for name, tensor in zip(inputs, tensors, strict=True)}
