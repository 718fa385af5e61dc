"""Stores weights that several graphs of a model have in common once, in a file next to them."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import onnx
from onnx.external_data_helper import set_external_data

FILE = "shared.data"
LEAST = 4096
"""Bytes of the smallest weight that is shared."""


def share(repository: Path, files: Sequence[str]) -> list[str]:
    """Makes the graphs of each model, among `files`, share what they have in common; returns the files that it adds."""
    folders: dict[Path, list[Path]] = {}
    for file in files:
        if file.endswith(".onnx"):
            folders.setdefault((repository / file).parent, []).append(repository / file)
    return [
        str((folder / FILE).relative_to(repository))
        for folder, graphs in folders.items()
        if len(graphs) > 1 and _shared(folder, graphs)
    ]


def _shared(folder: Path, paths: Sequence[Path]) -> bool:
    models = [onnx.load(path) for path in paths]
    # Not a set: its order would be another one every time, and so would the file.
    seen = Counter(data for model in models for data in dict.fromkeys(tensor.raw_data for tensor in _large(model)))
    common = [data for data, times in seen.items() if times > 1]
    places: dict[bytes, int] = {}
    with (folder / FILE).open("wb") as out:
        for data in common:
            places[data] = out.tell()
            out.write(data)
    for path, model in zip(paths, models, strict=True):
        for tensor in _large(model):
            if (place := places.get(tensor.raw_data)) is not None:
                set_external_data(tensor, FILE, offset=place, length=len(tensor.raw_data))
                tensor.ClearField("raw_data")
        path.write_bytes(model.SerializeToString(deterministic=True))
    if not common:
        (folder / FILE).unlink()
    return bool(common)


def _large(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    return (tensor for tensor in model.graph.initializer if len(tensor.raw_data) >= LEAST)
