"""A TOML file that operators write: its tables, and the line of everything that is wrong with it."""

import re
import tomllib
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

PROBLEMS_MOST = 20
"""Problems of a file that are shown at a time."""
NESTED_MOST = 20
OPENING, CLOSING = ("[", "{"), ("]", "}")
SIGNS = (*OPENING, *CLOSING, ",", "=", "\n")
Place = tuple[str | int, ...]
"""The keys, and the indexes in arrays, that lead to a value."""
TOKEN = re.compile(
    r"""\"{3}(?:\\.|[^\\])*?\"{3,5} | '{3}.*?'{3,5} | "(?:\\.|[^"\\])*" | '[^']*'"""
    r"""| \#[^\n]* | [\[\]{},=\n] | [^\s\[\]{},="'\#]+""",
    re.DOTALL | re.VERBOSE,
)
"""A text, a comment, a sign or a word of valid TOML."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is wrong with a file."""

    at: Place
    what: str
    """The table, the key, and what is allowed, in one sentence."""
    line: int = 0
    """From 1; 0: not known yet."""

    def __str__(self) -> str:
        return f"line {self.line}: {self.what}" if self.line else self.what


class UnusableTables(ValueError):
    """Tables of a file cannot be used."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(map(str, problems)))

    def located(self, text: str) -> "UnusableTables":
        """Returns the first of the same, with their lines in the text from which the tables were read."""
        shown = self.problems[:PROBLEMS_MOST]
        if all(each.line for each in shown):  # of a text that is not valid
            return UnusableTables(shown)
        lines = Lines(text)
        return UnusableTables([replace(each, line=lines.of(each.at)) for each in shown])


def decoded(content: bytes) -> str:
    """Returns the text of a file. Raises UnusableTables if it is not UTF-8."""
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UnusableTables([Problem((), "this is not UTF-8", line)]) from None


def tables_of(text: str) -> dict[str, Any]:
    """Returns the tables of a file. Raises UnusableTables if it is not valid TOML."""
    _demand_flat(text)
    try:
        return tomllib.loads(text)
    except ValueError as error:  # a number of thousands of digits is no TOMLDecodeError
        what, at, place = str(error).rpartition(" (at ")
        if not at:
            problem = Problem((), "a number has too many digits", _first_invalid(text))
        else:
            found = re.match(r"line (\d+)", place)
            line = int(found[1]) if found else text.rstrip("\n").count("\n") + 1
            problem = Problem((), f"this is not valid TOML: {what}", line)
        raise UnusableTables([problem]) from None


def _demand_flat(text: str) -> None:
    """Raises UnusableTables if tables are nested so deeply that the parser would run out of stack or memory."""
    depth = dots = 0
    for token in TOKEN.finditer(text):
        sign = token[0]
        depth += (sign in OPENING) - (sign in CLOSING)
        dots = 0 if sign in SIGNS else dots + (0 if sign[0] in "\"'#" else sign.count("."))
        if max(depth, dots) > NESTED_MOST:
            line = text.count("\n", 0, token.start()) + 1
            raise UnusableTables([Problem((), f"arrays and tables are nested more than {NESTED_MOST} deep", line)])


class Lines:
    """The lines of a valid file, by place."""

    def __init__(self, text: str) -> None:
        ends = [match.start() for match in re.finditer("\n", text)]
        self._places: list[tuple[Place, int, list[int]]] = []
        """Headers and keys, each with its line and those of its array's elements."""
        header: Place = ()
        arrays: Counter[Place] = Counter()
        for start, statement, elements in _statements(text):
            place = _keys(tomllib.loads(statement))
            if statement.startswith("[["):
                arrays[place] += 1
                place = (*place, arrays[place] - 1)
            if statement.startswith("["):
                header = place
            else:
                place = header + place
            lines = [bisect_left(ends, each) + 1 for each in (start, *elements)]
            self._places.append((place, lines[0], lines[1:]))

    def of(self, at: Place) -> int:
        """Returns the line of a place, from 1; of the innermost table around it if it is not there."""
        found, known = 1, 0
        for place, line, elements in self._places:
            common = next((n for n, pair in enumerate(zip(place, at, strict=False)) if pair[0] != pair[1]), None)
            common = min(len(place), len(at)) if common is None else common
            index = at[len(place)] if common == len(place) < len(at) else None
            if isinstance(index, int) and index < len(elements):
                line, common = elements[index], common + 1
            if common > known:
                found, known = line, common
        return found


def _keys(parsed: dict[str, Any]) -> Place:
    """Returns the keys of a header, or of a key with its value; a value that is a table adds its key if it has one."""
    keys: list[str] = []
    value: Any = parsed
    while isinstance(value, dict) and len(value) == 1:
        [(key, value)] = value.items()
        keys.append(key)
    return tuple(keys)


def _statements(text: str) -> Iterator[tuple[int, str, list[int]]]:
    """Yields each header, and each key with its value: its start, its text, and the starts of its array's elements."""
    start, end, depth, assigned, awaits_element = -1, 0, 0, False, False
    elements: list[int] = []
    for token in TOKEN.finditer(text):
        sign = token[0]
        if sign.startswith("#") or (sign == "\n" and (depth or start < 0)):
            continue
        if sign == "\n":
            yield start, text[start:end], elements
            start = -1
            continue
        if start < 0:
            start, assigned, awaits_element, elements = token.start(), False, False, []
        end = token.end()
        if sign in CLOSING:
            depth -= 1
            continue
        if awaits_element and depth == 1:
            elements.append(token.start())
            awaits_element = False
        if sign in OPENING:
            awaits_element = depth == 0 and assigned and sign == "["
            depth += 1
        elif depth == 1 and sign == ",":
            awaits_element = True
        elif depth == 0 and sign == "=":
            assigned = True
    if start >= 0:
        yield start, text[start:end], elements


def _first_invalid(text: str) -> int:
    """Returns the line of the first statement that cannot be parsed."""
    for start, statement, _ in _statements(text):
        try:
            tomllib.loads(statement)
        except ValueError:
            return text.count("\n", 0, start) + 1
    return 1
