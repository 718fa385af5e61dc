"""The file names of a batch's videos, as the original's: the prompt's beginning, or the row's number."""

import unicodedata

PROMPT_CHARACTERS = 100
STEM_BYTES = 200
"""A name has at most 255 bytes on most file systems; the rest is for the sample, a number and the suffix."""
RESERVED = set('<>:"/\\|?*')
"""What a file system here or elsewhere does not take in a name."""


def stem(*, prompt: str, name: str, row: int, sample: int, with_index: bool) -> str:
    """Returns the name of a video without its suffix. It has no separators and does not begin with a dot."""
    if with_index:
        return f"{row}-{sample}_regular"
    text = name or prompt[:PROMPT_CHARACTERS]
    clean = "".join("_" if each in RESERVED or unicodedata.category(each)[0] == "C" else each for each in text)
    clean = clean.encode()[:STEM_BYTES].decode(errors="ignore").strip(" .")
    return f"{clean or row}-{sample}"


def file_name(stem: str, number: int) -> str:
    """Returns the name of the first, second, … video with this stem."""
    return f"{stem}.mp4" if number == 1 else f"{stem} ({number}).mp4"


def folded(name: str) -> str:
    """Returns the same text for names that some file system takes for the same."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
