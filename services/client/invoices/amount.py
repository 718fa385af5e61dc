"""Reads amounts as people and spreadsheets write them. What can be read in two ways is refused, never guessed."""

import re
from decimal import Decimal

MOST = Decimal(10) ** 12
LENGTH_MOST = 100
"""Characters of an amount with its currency."""
SIGNS = str.maketrans({"−": "-", "\u2010": "-", "\u2011": "-"})
FORM = re.compile(r"([+-]?)\s*(?:[A-Z]{3}|[$€£¥])?\s*([+-]?)(.*?)\s*(?:[A-Z]{3}|[$€£¥])?", re.DOTALL)
"""A sign before or after the currency, the number, and the currency if it comes last."""
SPACES = re.compile(r"(?<=\d)[ \u00a0\u2009\u202f'\u2019](?=\d{3}(?:\D|$))")
"""Between groups of three digits."""
SCIENTIFIC = re.compile(r"\d+(?:\.\d+)?[eE][+-]?\d{1,2}")


def read_amount(text: str, decimal: str = "") -> Decimal:
    """Returns an amount. `decimal` is the mark before the decimals; empty: as far as that is certain.

    Raises ValueError with a sentence for the reader.
    """
    shown = text.strip()[:40]
    if len(text.strip()) > LENGTH_MOST:
        raise ValueError(f"{shown!r}… is no amount")
    body = text.strip().translate(SIGNS)
    if negative := body.startswith("(") and body.endswith(")"):
        body = body[1:-1].strip()
    found = FORM.fullmatch(body)
    assert found is not None
    before, after, body = found.groups()
    if negative + bool(before) + bool(after) > 1:
        raise ValueError(f"{shown!r} is no amount")
    negative = negative or "-" in (before, after)
    body = SPACES.sub("", body)
    if not body or not body.isascii() or not re.fullmatch(r"[\d.,]+|" + SCIENTIFIC.pattern, body):
        raise ValueError(f"{shown!r} is no amount" if shown else "the amount is missing")
    number = Decimal(body) if SCIENTIFIC.fullmatch(body) else Decimal(_plain(body, decimal, shown))
    if number >= MOST:
        raise ValueError(f"{shown!r} is too large")
    return -number if negative else number


def _plain(body: str, decimal: str, shown: str) -> str:
    """Returns digits with a point before the decimals."""
    mark = decimal or _decimal_mark(body, shown)
    group = "," if mark == "." else "."
    whole, _, part = body.partition(mark)
    if not (whole or part) or not (part or "0").isdigit():
        raise ValueError(f"{shown!r} is no amount")
    if group in whole and not re.fullmatch(r"\d{1,3}(?:[.,]\d{3})+", whole):
        raise ValueError(f"{shown!r} is no amount: its groups do not have three digits")
    return f"{whole.replace(group, '') or '0'}.{part or '0'}"


def _decimal_mark(body: str, shown: str) -> str:
    """Returns the mark before the decimals, if there are any. Raises ValueError if it may be either."""
    points, commas = body.count("."), body.count(",")
    if points and commas:
        return "." if body.rindex(".") > body.rindex(",") else ","
    if points + commas == 0:
        return "."
    mark = "." if points else ","
    if points + commas > 1:
        return "," if points else "."  # several of one kind are between groups
    whole, _, part = body.partition(mark)
    if len(part) == 3 and 1 <= len(whole) <= 3 and not whole.startswith("0"):
        raise ValueError(f"{shown!r} can be read in two ways; say in the format whether '.' or ',' is the decimal mark")
    return mark
