"""One checkpoint file, opened: safetensors, an index of shards, or a pickle, of which nothing but tensors is read.

Opening reads names; tensors are mapped into memory, so they cost none until they are used.
"""

import json
import pickle
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from tools.export.weights.error import WeightsError, some

INDEX = ".safetensors.index.json"
LEFTOVERS = re.compile(r"_fsdp_wrapped_module\.|_checkpoint_wrapped_module\.|_orig_mod\.")
"""What training wrappers leave in the names of tensors."""


@dataclass(frozen=True)
class Opened:
    """What a file holds."""

    names: tuple[str, ...]
    """Of its tensors, without the leftovers of training."""
    read: Callable[[], dict[str, torch.Tensor]]
    note: str = ""
    """What else to tell of it: which of its state dicts was taken, how many shards it has."""


def open_file(path: Path, *, ema: bool = True) -> Opened:
    """Opens a file; of averaged and plain weights in one pickle it takes what `ema` asks for, or what there is.

    Raises:
        WeightsError: it is not there, a Git LFS pointer, cut short, no checkpoint, or a pickle of more than tensors.
    """
    if path.name.endswith(INDEX):
        return _index(path)
    return _safetensors(path) if path.suffix == ".safetensors" else _pickle(path, ema)


def beginning(path: Path) -> bytes:
    """A file's first bytes.

    Raises:
        WeightsError: it cannot be read, is empty, or is a Git LFS pointer.
    """
    try:
        with path.open("rb") as file:
            start = file.read(64)
    except OSError as error:
        raise WeightsError(f"{path.name} cannot be read: {error.strerror}.") from error
    if not start:
        raise WeightsError(f"{path.name} is empty. Download it again.")
    if start.startswith(b"version https://git-lfs"):
        raise WeightsError(f"{path.name} is a Git LFS pointer, not the file itself. Run `git lfs pull` in its folder.")
    return start


def shards(index: Path) -> dict[str, str]:
    """For each tensor of an index, the file beside it that holds it.

    Raises:
        WeightsError: it is not such an index.
    """
    beginning(index)
    try:
        where = json.loads(index.read_bytes())["weight_map"]
        found = {str(name): str(file) for name, file in where.items()}
        if odd := [file for file in found.values() if not file or Path(file).name != file]:
            raise ValueError(odd[0])
        return found
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise WeightsError(f"{index.name} is no index of shards: it has no weight_map. Download it again.") from error


def _index(path: Path) -> Opened:
    where = shards(path)
    files = sorted(set(where.values()))
    absent = [file for file in files if not path.with_name(file).is_file()]
    if absent:
        raise WeightsError(
            f"{path.name} names {len(files)} shards, and {len(absent)} of them are not beside it: {some(absent)}. "
            "Download them into the same folder."
        )

    def read() -> dict[str, torch.Tensor]:
        tensors: dict[str, torch.Tensor] = {}
        for file in files:
            tensors |= _safetensors(path.with_name(file)).read()
        lacking = [name for name in where if LEFTOVERS.sub("", name) not in tensors]
        if lacking:
            raise WeightsError(
                f"{path.name} promises {len(lacking)} tensors that its shards do not hold: {some(lacking)}. "
                "Index and shards are of different downloads; download them again."
            )
        return tensors

    return Opened(tuple(_cleaned(path, dict.fromkeys(where))), read, f"{len(files)} shards")


def _safetensors(path: Path) -> Opened:
    beginning(path)

    def read() -> dict[str, torch.Tensor]:
        with _header(path) as file:
            return _cleaned(path, {name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118

    with _header(path) as file:
        return Opened(tuple(_cleaned(path, dict.fromkeys(file.keys()))), read)


def _header(path: Path) -> Any:
    try:
        return safe_open(path, framework="pt")
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path.name} is cut short, or no safetensors file: {error}. Download it again.") from error


def _pickle(path: Path, ema: bool) -> Opened:
    zipped = beginning(path).startswith(b"PK\x03\x04")
    try:
        with warnings.catch_warnings(action="ignore"):  # of formats; what cannot be read raises
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except Exception as error:  # bytes that are no pickle raise whatever the bytes happen to mean
        wanted = re.search(r"GLOBAL (\S+)", str(error))
        if isinstance(error, pickle.UnpicklingError) and (wanted or zipped):
            raise WeightsError(
                f"{path.name} is a pickle of more than tensors: it wants {wanted[1] if wanted else 'other objects'}. "
                "Such a file can run code, so it is not read. Save its tensors alone, best as safetensors."
            ) from error
        raise WeightsError(f"{path.name} is cut short, or no checkpoint of torch. Download it again.") from error
    state, note = _state_dict(content, ema)
    tensors = {str(name): each.detach() for name, each in state.items() if isinstance(each, torch.Tensor)}
    if not tensors:
        raise WeightsError(f"{path.name} holds no tensors. Give the file that a state dict was saved in.")
    tensors = _cleaned(path, tensors)
    return Opened(tuple(tensors), lambda: tensors, note)


def _state_dict(content: Any, ema: bool) -> tuple[Mapping[str, Any], str]:
    """The dict that holds the tensors, and the name under which it was found."""
    if not isinstance(content, Mapping):
        return {}, ""
    generators = ("generator_ema", "generator")
    for name in (*(generators if ema else reversed(generators)), "model"):
        if isinstance(content.get(name), Mapping):
            return content[name], name
    return content, ""


def _cleaned(path: Path, tensors: dict[str, Any]) -> dict[str, Any]:
    cleaned = {LEFTOVERS.sub("", name): each for name, each in tensors.items()}
    if len(cleaned) < len(tensors):
        twice = [name for name in tensors if LEFTOVERS.search(name) and LEFTOVERS.sub("", name) in tensors]
        raise WeightsError(
            f"{path.name} holds tensors of one name with and without the leftovers of training: {some(twice)}. "
            "Save it again from the unwrapped module."
        )
    return cleaned
