"""When a text counts as empty: the list of invisible characters."""

import unicodedata

_BLANKS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
"""Invisible fillers and joiners that Unicode counts as letters, marks or symbols."""
_SELECTORS = ((0x180B, 0x180F), (0xFE00, 0xFE0F), (0xE0000, 0xE0FFF))
"""Variation selectors and tags: they change the character before them and are invisible alone."""
_SILENT = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp", "Zs"))
"""Unicode categories of controls, direction marks, joiners, surrogates and spaces."""


def is_blank(text: str) -> bool:
    """Whether a text is empty, or has only spaces, control and invisible characters."""
    return all(_is_invisible(character) for character in text)


def _is_invisible(character: str) -> bool:
    code = ord(character)
    return (
        unicodedata.category(character) in _SILENT
        or character in _BLANKS
        or any(first <= code <= last for first, last in _SELECTORS)
    )
