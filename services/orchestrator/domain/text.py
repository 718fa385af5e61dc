"""What a text must be to be kept and handed on, and when it says nothing."""

import unicodedata

TEXT_BYTES = 32_000
"""The longest text of any kind, in UTF-8: 8,000 characters of 4 bytes. Single fields have lower limits of their own."""

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


def fault(text: str) -> str:
    """Returns why a text can be neither stored nor sent, as the end of a sentence about it; empty when it can."""
    if "\x00" in text:
        return "holds a NUL character; leave it out"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "holds half of a surrogate pair, which is no character; leave it out"
    return ""


def kept(text: str, most: int) -> str:
    """Returns a text of others, such as a vendor's message, as it can be stored: at most so many characters."""
    if fault(text):
        text = text.encode(errors="replace").decode().replace("\x00", "\ufffd")
    return text if len(text) <= most else text[: most - 1] + "…"
