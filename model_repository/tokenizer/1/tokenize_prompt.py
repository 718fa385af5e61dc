"""Prompts to tokens: bytes, or the vocabulary of a file after the cleaning that Wan does. Independent of Triton."""

import html
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.int64]

PAD, END, FIRST_BYTE = 0, 1, 3
"""The byte vocabulary of ByT5: 0 pads, 1 ends, byte b is b + 3."""


class PromptTokenizer:
    """The tokenizer of one profile."""

    def __init__(self, folder: Path) -> None:
        """Reads `settings.json` (tokenizer, length) and, unless the tokenizer is `bytes`, `tokenizer.json`."""
        settings = json.loads((folder / "settings.json").read_text())
        self.length: int = settings["length"]
        by_bytes = settings["tokenizer"] == "bytes"
        self._split: Callable[[str], list[int]] = split_bytes if by_bytes else load(folder / "tokenizer.json")

    def __call__(self, prompt: str) -> tuple[Ids, Ids]:
        """(ids, mask), each INT64 (1, length): what does not fit is cut off before the end token."""
        found = [*self._split(prompt)[: self.length - 1], END]
        ids, mask = np.full((1, self.length), PAD, np.int64), np.zeros((1, self.length), np.int64)
        ids[0, : len(found)] = found
        mask[0, : len(found)] = 1
        return ids, mask


def split_bytes(prompt: str) -> list[int]:
    """A token a byte, without the end."""
    return [byte + FIRST_BYTE for byte in prompt.encode()]


def load(file: Path) -> Callable[[str], list[int]]:
    """A tokenizer of the `tokenizers` library, such as the one published with umT5; gives tokens without the end."""
    # Only profiles with such a tokenizer need these.
    from ftfy import fix_text
    from tokenizers import Tokenizer

    tokenizer: Any = Tokenizer.from_file(str(file))
    tokenizer.no_padding()
    tokenizer.no_truncation()

    def split(prompt: str) -> list[int]:
        ids: list[int] = tokenizer.encode(cleaned(fix_text(prompt)), add_special_tokens=False).ids
        return ids

    return split


def cleaned(prompt: str) -> str:
    """As Wan's text encoder is fed: entities of HTML resolved twice, white space made single."""
    return re.sub(r"\s+", " ", html.unescape(html.unescape(prompt)).strip()).strip()
