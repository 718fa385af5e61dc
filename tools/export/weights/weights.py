"""The weights that a person gave: what parts there are, where from, and their tensors."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from tools.export.weights.checkpoint_file import open_file
from tools.export.weights.checkpoint_folder import Found, found_at
from tools.export.weights.checkpoint_kind import kind_from
from tools.export.weights.error import WeightsError, some
from tools.export.weights.source import PARTS, WHERE, Source


class Weights:
    """Parts of models, each in some file."""

    sources: Mapping[str, Source]
    """Where each part that is there comes from, in the order of PARTS."""

    def __init__(self, found: Found, paths: Sequence[Path], *, ema: bool) -> None:
        """Use `find`."""
        self.sources = {part: found.sources[part][0] for part in PARTS if part in found.sources}
        self._found = found
        self._paths = paths
        self._ema = ema

    @classmethod
    def find(cls, paths: Sequence[Path], *, ema: bool = True) -> "Weights":
        """Looks which parts the files and folders hold; of a part in several, the last path's counts.

        `ema` asks for averaged weights where a training checkpoint has both; where it has one, that is taken.
        Nothing but names is read, except from pickles in the format before torch 1.6.

        Raises:
            WeightsError: a path is not there, holds no part, holds one twice, or a file is broken.
        """
        every = Found()
        for path in paths:
            found = found_at(path, ema=ema)
            every.sources |= found.sources
            every.notes |= found.notes
            every.unknown |= found.unknown
        for part, sources in every.sources.items():
            if len(sources) > 1:
                raise WeightsError(
                    f"{part}: {len(sources)} files hold it: {some([source.file for source in sources])}. "
                    "Give the one that you mean after the folder: --weights FOLDER --weights FILE."
                )
        return cls(every, tuple(paths), ema=ema)

    def read(self, part: str) -> dict[str, torch.Tensor]:
        """The tensors of a part, as they are in the file, under the names of the library's class.

        That is UMT5EncoderModel, CLIPVisionModel, AutoencoderKLWan, WanTransformer3DModel, or TAEHV's decoder.
        What the file has beyond them, and is not known to be superfluous, keeps its name there after `file:`.

        Raises:
            WeightsError: the part is not there, or cannot be read.
        """
        source = self._source(part)
        if part == "tokenizer":
            raise WeightsError("tokenizer: it is a file, not tensors. Ask for its path.")
        try:
            tensors = open_file(source.path, ema=self._ema).read()
        except WeightsError as error:
            raise WeightsError(f"{part}: {error}") from error
        return kind_from(source).to_library(tensors)

    def tokenizer(self) -> Path:
        """The tokenizer.json of the text encoder.

        Raises:
            WeightsError: there is none.
        """
        return self._source("tokenizer").path

    def describe(self) -> list[str]:
        """One line a part, for the person: its file, its layout, and what was taken of it."""
        lines = []
        for part, source in self.sources.items():
            told = ", ".join(filter(None, (source.layout, self._found.notes[source.path])))
            lines.append(f"{part:<14}{source.file} ({told})")
        return lines

    def _source(self, part: str) -> Source:
        if part in self.sources:
            return self.sources[part]
        given = some([str(path) for path in self._paths]) or "nothing"
        unknown = some(list(self._found.unknown))
        raise WeightsError(
            f"{part}: none of the given files holds it. Given: {given}. Looked for: {WHERE[part]}. "
            + (f"Not recognised: {unknown}. " if unknown else "")
            + "Give it with --weights PATH."
        )
