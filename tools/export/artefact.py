"""The files that an export writes: graphs, documents, tensors, and copies of files that come with the weights."""

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors.torch import save_file


class Artefact(Protocol):
    """A file of the repository, relative to it, that can be written."""

    @property
    def file(self) -> str:
        """Its path."""

    @property
    def companions(self) -> tuple[str, ...]:
        """Files that are written with it."""

    def write(self, repository: Path) -> str:
        """Writes it, complete or not at all, and returns a note about it."""


@dataclass(frozen=True, kw_only=True)
class Document:
    """JSON."""

    file: str
    content: Mapping[str, Any]
    companions: tuple[str, ...] = ()

    def write(self, repository: Path) -> str:
        """Writes the JSON."""
        part = part_of(repository / self.file)
        part.write_text(json.dumps(self.content, indent=1) + "\n")
        os.replace(part, repository / self.file)
        return ""


@dataclass(frozen=True, kw_only=True)
class Copied:
    """A file that comes with the weights, as it is."""

    file: str
    source: Path
    companions: tuple[str, ...] = ()

    def write(self, repository: Path) -> str:
        """Copies the file."""
        part = part_of(repository / self.file)
        shutil.copyfile(self.source, part)
        os.replace(part, repository / self.file)
        return f"from {self.source.name}"


@dataclass(frozen=True, kw_only=True)
class Tensors:
    """A safetensors file."""

    file: str
    tensors: Mapping[str, torch.Tensor]
    companions: tuple[str, ...] = ()

    def write(self, repository: Path) -> str:
        """Writes the tensors."""
        part = part_of(repository / self.file)
        save_file({name: tensor.contiguous() for name, tensor in self.tensors.items()}, part)
        os.replace(part, repository / self.file)
        return f"{len(self.tensors)} tensors"


def part_of(path: Path) -> Path:
    """Returns the path at which a file is written before it is renamed to `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.with_name(f".{path.name}.{os.getpid()}.part")
