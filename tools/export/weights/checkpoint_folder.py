"""Which parts a path holds: a file, a folder of the official layout, or a folder with one subfolder a part."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tools.export.weights.checkpoint_file import INDEX, beginning, open_file, shards
from tools.export.weights.checkpoint_kind import kind_of
from tools.export.weights.error import WeightsError, some
from tools.export.weights.source import PARTS, WHERE, Source

SUFFIXES = (".safetensors", ".pth", ".pt")
SUBFOLDERS = tuple(part for part in PARTS if part != "tokenizer")
TOKENIZERS = ("tokenizer.json", "tokenizer/tokenizer.json", "google/umt5-xxl/tokenizer.json")
"""Where a folder has it. The one beside CLIP, in xlm-roberta-large/, is of its text half, which is not used."""
SHARD = re.compile(r".*-\d+-of-\d+\.safetensors")


@dataclass
class Found:
    """What one path holds."""

    sources: dict[str, list[Source]] = field(default_factory=dict)
    """For each part, the files that hold it; more than one is for the person to choose from."""
    notes: dict[Path, str] = field(default_factory=dict)
    unknown: dict[str, str] = field(default_factory=dict)
    """Files that were opened and hold no part, each with the first of its tensors."""

    def add(self, source: Source, note: str = "") -> None:
        """Takes a file in."""
        self.sources.setdefault(source.part, []).append(source)
        self.notes[source.path] = note


def found_at(path: Path, *, ema: bool) -> Found:
    """What a path that a person gave holds.

    Raises:
        WeightsError: there is nothing there, nothing of ours, or something broken.
    """
    found = Found()
    if path.is_file():
        _take(found, path, ema)
        if not found.sources:
            raise WeightsError(
                f"{path.name} is no file of a model that is known here: its tensors are {found.unknown[path.name]}. "
                f"Known are {_known()}."
            )
        return found
    if not path.is_dir():
        raise WeightsError(f"{path}: there is no such file or folder. Give one that is there: --weights PATH.")
    for folder in (path, *(path / name for name in SUBFOLDERS)):
        if folder.is_dir():
            for file in _files(folder):
                _take(found, file, ema)
    for tokenizer in (path / name for name in TOKENIZERS):
        if tokenizer.is_file():
            _take(found, tokenizer, ema)
    if not found.sources:
        there = some(sorted(each.name for each in path.iterdir() if not each.name.startswith(".")))
        raise WeightsError(
            f"{path}: no part of a model is in this folder; it holds {there or 'nothing'}. "
            f"Give the folder that holds the files themselves: --weights PATH. Known are {_known()}."
        )
    return found


def _known() -> str:
    return "; ".join(f"{part}: {where}" for part, where in WHERE.items())


def _files(folder: Path) -> Iterator[Path]:
    """Files of tensors, an index standing for its shards."""
    files = sorted(each for each in folder.iterdir() if each.is_file() and each.name.endswith((*SUFFIXES, INDEX)))
    covered = {shard for each in files if each.name.endswith(INDEX) for shard in shards(each).values()}
    return (each for each in files if each.name not in covered)


def _take(found: Found, path: Path, ema: bool) -> None:
    """Opens a file, and takes it in where it is a part."""
    if path.name == "tokenizer.json":
        beginning(path)
        try:
            json.loads(path.read_bytes())
        except ValueError as error:
            raise WeightsError("tokenizer: tokenizer.json is not JSON. Download it again.") from error
        found.add(Source("tokenizer", path, "diffusers" if path.parent.name == "tokenizer" else "wan2.1"))
        return
    if SHARD.fullmatch(path.name):
        raise WeightsError(
            f"{path.name} is one shard of several, and without their index (*{INDEX}) they cannot be put together. "
            "Give the folder that has the index and all shards."
        )
    opened = open_file(path, ema=ema)
    kind = kind_of(opened.names)
    if kind:
        found.add(Source(kind.part, path, kind.layout), opened.note)
    else:
        found.unknown[path.name] = some(opened.names, 3)
