"""The errors that the comments of RPCs list, by their status of HTTP."""

import re

import grpc

from services.reasons import REASONS
from services.studio.statuses import STATUSES
from tools.openapi.problems import Error

ADDED_TO = re.compile(r"^Errors, in addition to those of (\w+)\.", re.MULTILINE)
"""How a comment names the RPC whose errors are its errors too."""
_BULLET = re.compile(r"\* ([A-Z_]{4,}(?:, [A-Z_]{4,})*)(?: \(([^)]*)\))?: (.*)")
_WORDS = re.compile(r"[A-Z][A-Z0-9_]+(?:, [A-Z][A-Z0-9_]+)*")


def without_errors(comment: str) -> str:
    """Returns the comment of an RPC up to its list of errors."""
    return f"\n{comment}".partition("\nErrors")[0].strip()


def listed(comment: str) -> list[Error]:
    """Returns the errors that a comment lists."""
    found: list[Error] = []
    items = re.split(r"\n(?=\* )", f"\n{comment}".partition("\nErrors")[2])
    for item in items[1:]:
        text = " ".join(item.partition("\n\n")[0].split())
        if (bullet := _BULLET.fullmatch(text)) is None:
            continue
        codes, words, rest = bullet.groups()
        reasons = tuple(words.split(", ")) if words and _WORDS.fullmatch(words) else ()
        if words and not reasons:
            rest = f"({words}) {rest}"
        for code in codes.split(", "):
            status = STATUSES.get(grpc.StatusCode[code], 500)
            known = tuple(each for each in reasons if each in REASONS)
            found.append(Error(status, f"{rest[:1].upper()}{rest[1:]}", known))
    return found
