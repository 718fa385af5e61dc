"""What people may say of an asset: which texts, tags and values are taken."""

import json
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from services.errors import Violation
from services.reasons import LibraryReason, Reason

TITLE_MOST, DESCRIPTION_MOST, MODULE_MOST = 500, 10_000, 100
"""Characters."""
TAGS_MOST, TAG_MOST = 50, 100
"""Tags of an asset, and characters of a tag."""
CUSTOM_BYTES_MOST, CUSTOM_DEPTH_MOST = 8192, 8

DIRECTION_MARKS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""They make a text look like another one. Right-to-left scripts need none of them."""


@dataclass(frozen=True, slots=True)
class Details:
    """What people say of an asset."""

    title: str = ""
    description: str = ""
    tags: tuple[str, ...] = ()
    source_module: str = ""
    """The module of the company's software that it comes from; free text."""
    custom: Mapping[str, Any] = field(default_factory=dict)
    """Values of the caller's own, as JSON."""


NO_DETAILS = Details()


def problems(details: Details, of: str) -> Iterator[Violation]:
    """Yields what is wrong, by field. `of` is the name of the message, such as `header.details`."""
    malformed = LibraryReason.LIBRARY_TEXT_MALFORMED
    yield from text_problems(details.title, f"{of}.title", TITLE_MOST, malformed)
    yield from text_problems(details.description, f"{of}.description", DESCRIPTION_MOST, malformed, lines=True)
    yield from module_problems(details.source_module, f"{of}.source_module")
    yield from tag_problems(details.tags, f"{of}.tags")
    yield from custom_problems(details.custom, f"{of}.custom_metadata")


def text_problems(text: str, field: str, most: int, reason: Reason, *, lines: bool = False) -> Iterator[Violation]:
    """Yields what is wrong with a text of at most so many characters; `lines`: it may have tabs and line ends."""
    if len(text) > most:
        yield Violation(field, f"has {len(text)} characters; at most {most} are taken", reason)
    elif (sign := _refused_sign(text, "\t\n\r" if lines else "")) is not None:
        yield Violation(field, f"has the character U+{ord(sign):04X}, which cannot be shown; leave it out", reason)


def module_problems(source_module: str, field: str) -> Iterator[Violation]:
    """Yields what is wrong with a source module."""
    yield from text_problems(source_module, field, MODULE_MOST, LibraryReason.LIBRARY_TEXT_MALFORMED)


def tag_problems(tags: tuple[str, ...], field: str) -> Iterator[Violation]:
    """Yields what is wrong with tags."""
    if len(tags) > TAGS_MOST:
        yield Violation(field, f"are {len(tags)}; at most {TAGS_MOST} are taken", LibraryReason.TAGS_TOO_MANY)
        return
    seen = set[str]()
    for number, tag in enumerate(tags):
        name = f"{field}[{number}]"
        if not tag.strip() or tag != tag.strip():
            yield Violation(name, "is empty, or begins or ends with a space", LibraryReason.TAG_MALFORMED)
        elif tag in seen:
            yield Violation(name, "is there twice", LibraryReason.TAG_MALFORMED)
        else:
            yield from text_problems(tag, name, TAG_MOST, LibraryReason.TAG_MALFORMED)
        seen.add(tag)


def custom_problems(custom: Mapping[str, Any], field: str) -> Iterator[Violation]:
    """Yields what is wrong with values of the caller's own."""
    reason = LibraryReason.CUSTOM_METADATA_MALFORMED
    if _depth(custom, CUSTOM_DEPTH_MOST + 1) > CUSTOM_DEPTH_MOST:
        yield Violation(field, f"is more than {CUSTOM_DEPTH_MOST} levels deep", reason)
        return
    try:
        text = json.dumps(custom, ensure_ascii=False, allow_nan=False)
        size = len(text.encode())
    except ValueError:  # NaN, an infinity, or half of a surrogate pair
        yield Violation(field, "has a value that is not JSON, such as NaN", reason)
        return
    if size > CUSTOM_BYTES_MOST:
        yield Violation(field, f"is {size} bytes as JSON; at most {CUSTOM_BYTES_MOST} are taken", reason)
    elif "\\u0000" in text:
        yield Violation(field, "has the character U+0000, which cannot be stored", reason)


def one_line(text: str) -> str:
    """Returns a foreign text, such as a prompt, as a title may have it: one line, without what cannot be shown."""
    return " ".join("".join(" " if _is_refused(sign) else sign for sign in text).split())


def _refused_sign(text: str, allowed: str) -> str | None:
    return next((sign for sign in text if _is_refused(sign) and sign not in allowed), None)


def _is_refused(sign: str) -> bool:
    return sign in DIRECTION_MARKS or unicodedata.category(sign) in ("Cc", "Cs", "Zl", "Zp")


def _depth(value: Any, most: int) -> int:
    """Returns how deep a value is, at most `most`."""
    level: list[Any] = [value]
    for depth in range(most):
        level = [inner for each in level for inner in _inner(each)]
        if not level:
            return depth + 1
    return most


def _inner(value: Any) -> list[Any]:
    if isinstance(value, Mapping):
        return list(value.values())
    return list(value) if isinstance(value, list | tuple) else []
