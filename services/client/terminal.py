"""The one place through which the command line writes text, so that none of it is obeyed by a terminal.

Much of the text came from elsewhere: another user's prompt, a vendor's message, the name of a file. A line is what the
caller passes as one; whatever would end it, hide a part of it, change its direction or move the cursor is escaped.
"""

import sys
import unicodedata

import click
from rich.cells import cell_len

OBEYED = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Unicode categories of what a terminal obeys or hides: controls, format characters, surrogates, line separators."""
JOINERS = "\u200c\u200d"
"""Format characters that belong to ordinary words and emoji."""


def visible(text: str) -> str:
    r"""Returns the text with what a terminal would obey or hide as Python writes it: `\x1b`, `\n`, `\u202e`."""
    if text.isprintable():
        return text
    return "".join(_escape(character) if _is_obeyed(character) else character for character in text)


def width(text: str) -> int:
    """Returns how many columns a text takes; most East Asian characters and emoji take two."""
    return cell_len(text)


def say(*lines: str, err: bool = False) -> None:
    """Writes lines to stdout or stderr."""
    if lines:
        click.echo("\n".join(map(visible, lines)), err=err)


def write_what_can_be_encoded() -> None:
    """Has stdout and stderr escape what their encoding lacks, where they would raise UnicodeEncodeError."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _is_obeyed(character: str) -> bool:
    return unicodedata.category(character) in OBEYED and character not in JOINERS


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode()
