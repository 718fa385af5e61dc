"""Writes all text of the command line, in a form that cannot control the terminal.

Much of the text comes from others: another user's prompt, a vendor's message, the name of a file. Each line is one
argument of the caller; characters that would end it, hide a part of it, change its direction or move the cursor are
escaped.
"""

import shutil
import sys
import unicodedata

import click
from rich.cells import cell_len

CONTROL_CATEGORIES = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Unicode categories of characters that control a terminal or are hidden: controls, formats, surrogates, separators."""
JOINERS = "\u200c\u200d"
"""Format characters that belong to ordinary words and emoji."""


def visible(text: str) -> str:
    r"""Returns the text with control and hidden characters escaped as in Python: `\x1b`, `\n`, `\u202e`."""
    if text.isprintable():
        return text
    return "".join(_escape(character) if _is_control(character) else character for character in text)


def width(text: str) -> int:
    """Returns how many columns a text takes; most East Asian characters and emoji take two."""
    return cell_len(text)


def terminal_columns() -> int | None:
    """Returns how many columns stdout has; None if it is no terminal."""
    is_terminal = sys.stdout is not None and sys.stdout.isatty()
    return shutil.get_terminal_size().columns if is_terminal else None


def say(*lines: str, err: bool = False) -> None:
    """Writes lines to stdout or stderr."""
    if lines:
        click.echo("\n".join(map(visible, lines)), err=err)


def write_what_can_be_encoded() -> None:
    """Makes stdout and stderr escape characters that their encoding lacks, instead of raising UnicodeEncodeError."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _is_control(character: str) -> bool:
    return unicodedata.category(character) in CONTROL_CATEGORIES and character not in JOINERS


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode()
