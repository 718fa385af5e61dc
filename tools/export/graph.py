"""One graph: traced from torch, held against torch on other inputs, then put in place whole or not at all."""

import json
import logging
import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import torch

TOLERANCE = 1e-4
"""The largest difference to torch, in any output, that a graph may have."""

OPSET = 23
"""The first with Attention as one node, which ONNX Runtime computes faster than its parts."""

Inputs = Mapping[str, torch.Tensor | list[torch.Tensor]]
"""Arguments of a module's forward, in its order; a list is one input of the graph for each of its tensors."""


class ExportError(RuntimeError):
    """A graph does not compute what torch computes."""


def export(
    module: torch.nn.Module,
    *,
    path: Path,
    examples: Sequence[Inputs],
    inputs: Sequence[str],
    outputs: Sequence[str],
    dynamic: Mapping[str, Sequence[int]],
    metadata: Mapping[str, Any] | None = None,
) -> float:
    """Exports `module` to `path` and returns the largest difference to torch over all `examples`.

    The first example is traced; the others should differ in every axis that `dynamic` gives to an argument.
    `metadata` goes into the file, each value as JSON. The file appears only after the comparison, by a rename.

    Raises:
        ExportError: an output differs by more than TOLERANCE.
    """
    module.eval()
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        trace(module, part, examples[0], inputs, outputs, dynamic)
        if metadata:
            model = onnx.load(str(part))
            onnx.helper.set_model_props(model, {key: json.dumps(value) for key, value in metadata.items()})
            onnx.save(model, str(part))
        session = onnxruntime.InferenceSession(str(part), providers=["CPUExecutionProvider"])
        difference = max(compare(module, session, example, inputs) for example in examples)
        if not difference <= TOLERANCE:
            raise ExportError(f"{path.name} differs from torch by {difference:.1e}, more than {TOLERANCE:.0e}")
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    return difference


def trace(
    module: torch.nn.Module,
    path: Path,
    example: Inputs,
    inputs: Sequence[str],
    outputs: Sequence[str],
    dynamic: Mapping[str, Sequence[int]],
) -> None:
    """Writes the graph of one forward on `example`, with the axes that `dynamic` names left open."""
    shapes: dict[str, Any] = {}
    for name, value in example.items():
        shape = dict.fromkeys(dynamic.get(name, ()), torch.export.Dim.DYNAMIC) or None
        shapes[name] = [shape] * len(value) if isinstance(value, list) else shape
    for noisy in ("torch.onnx", "onnxscript", "torch.export"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module,
            (),
            str(path),
            kwargs=dict(example),
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_shapes=shapes,
            dynamo=True,
            opset_version=OPSET,
            external_data=False,
            verbose=False,
        )


def compare(
    module: torch.nn.Module, session: onnxruntime.InferenceSession, example: Inputs, inputs: Sequence[str]
) -> float:
    """The largest absolute difference of any output between torch and the graph on one set of inputs."""
    got = session.run(None, feed(example, inputs))
    with torch.no_grad():
        wanted = module(**example)
    wanted = wanted if isinstance(wanted, tuple) else (wanted,)
    return max(
        float(np.abs(one - other.numpy()).max(initial=0.0)) if one.shape == tuple(other.shape) else float("inf")
        for one, other in zip(got, wanted, strict=True)
    )


def feed(example: Inputs, inputs: Sequence[str]) -> dict[str, npt.NDArray[Any]]:
    """A module's arguments as the inputs of its graph."""
    tensors = [each for value in example.values() for each in (value if isinstance(value, list) else [value])]
    return {name: tensor.numpy() for name, tensor in zip(inputs, tensors, strict=True)}
