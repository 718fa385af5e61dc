"""A row of a batch's input: one prompt, with or without a picture."""

from dataclasses import dataclass

Box = tuple[int, int, int, int]
"""Left, top, right and bottom, in pixels."""


class BadInput(Exception):
    """The input cannot be read as a whole."""


class BadRow(Exception):
    """One row cannot be made; the others can."""


@dataclass(frozen=True, slots=True)
class Crop:
    """The part of a picture that is used."""

    box: Box
    origin: tuple[int, int] | None
    """The picture's width and height, for which the box was chosen; None: not known."""


@dataclass(frozen=True, slots=True)
class Row:
    """What one row asks for."""

    prompt: str
    picture: str = ""
    """A path within the input's folder; empty: the text alone makes the video."""
    seed: int | None = None
    """None: the batch's."""
    negative: str = ""
    name: str = ""
    """What its file is called; empty: the beginning of the prompt."""
    crop: Crop | None = None
    extended_prompt: str = ""
    """The prompt that makes the video, while `prompt` names it; empty: `prompt`."""


Found = Row | BadRow
"""What a source yields for each row, in order."""
