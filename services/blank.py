"""When a text says nothing: the one place that knows which characters cannot be seen."""

import unicodedata

_BLANKS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
"""Fillers and joiners that show nothing, though Unicode counts them as letters, marks or symbols."""
_SELECTORS = ((0x180B, 0x180F), (0xFE00, 0xFE0F), (0xE0000, 0xE0FFF))
"""Variation selectors and tags: they change the character before them and are nothing alone."""
_SILENT = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp", "Zs"))
"""Categories of controls, marks of direction, joiners, surrogates and spaces."""


def is_blank(text: str) -> bool:
    """Whether nothing of a text can be seen: it is empty, or of spaces, controls and invisible characters alone."""
    return all(_is_invisible(character) for character in text)


def _is_invisible(character: str) -> bool:
    code = ord(character)
    return (
        unicodedata.category(character) in _SILENT
        or character in _BLANKS
        or any(first <= code <= last for first, last in _SELECTORS)
    )
