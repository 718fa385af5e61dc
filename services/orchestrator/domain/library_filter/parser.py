"""Reads a filter. OR binds more tightly than AND, as AIP-160 has it; terms without a word between are joined by AND."""

import re
from collections.abc import Callable

from services.errors import InvalidInput, Violation
from services.orchestrator.domain.forbidden_characters import fault
from services.orchestrator.domain.library_filter.fields import ALIASES, FIELDS
from services.orchestrator.domain.library_filter.tree import And, Condition, Node, Not, Or, Value
from services.reasons import RequestReason

BYTES_MOST = 10_000
TERMS_MOST = 100
DEPTH_MOST = 20
SHOWN_MOST = 40
"""Characters of a word of the filter that a message shows."""

_TOKEN = re.compile(
    r'\s*(?:(?P<quoted>"(?:[^"\\]|\\["\\])*")|(?P<operator><=|>=|!=|[=<>:])|(?P<bracket>[()])|(?P<word>[^\s"()=<>!:]'
    r"[^\s\"()=<>!]*))"
)
_FIELD = re.compile(r"\s*(?P<word>[A-Za-z_][A-Za-z0-9_]*)")


def parse(text: str) -> Node | None:
    """Returns the tree of a filter; None for an empty one, which every entry passes.

    Raises InvalidInput, which says what is wrong at which character.
    """
    if len(text.encode(errors="replace")) > BYTES_MOST:
        raise _refusal(f"has more than {BYTES_MOST} bytes; split it")
    if wrong := fault(text):
        raise _refusal(wrong)
    return _Parser(text).whole()


def _refusal(description: str) -> InvalidInput:
    return InvalidInput(
        [Violation("filter", description, RequestReason.FILTER_MALFORMED)], reason=RequestReason.FILTER_MALFORMED
    )


class _Parser:
    """A filter that is being read, from left to right."""

    def __init__(self, text: str) -> None:
        self.text = text.rstrip()
        self.place = 0
        self.terms = 0
        self.depth = 0

    def whole(self) -> Node | None:
        if not self.text:
            return None
        found = self._all()
        if self.place < len(self.text):
            raise self._unexpected("AND, OR or the end")
        return found

    def _all(self) -> Node:
        parts = [self._any()]
        while self.place < len(self.text) and not self._next(")"):
            self._take("AND")
            parts.append(self._any())
        return parts[0] if len(parts) == 1 else And(tuple(parts))

    def _any(self) -> Node:
        parts = [self._term()]
        while self._take("OR"):
            parts.append(self._term())
        return parts[0] if len(parts) == 1 else Or(tuple(parts))

    def _term(self) -> Node:
        if self._take("NOT"):
            return Not(self._nested(self._simple))
        return self._simple()

    def _simple(self) -> Node:
        if self._take("("):
            found = self._nested(self._all)
            if not self._take(")"):
                raise self._unexpected("a closing parenthesis")
            return found
        return self._condition()

    def _nested(self, read: Callable[[], Node]) -> Node:
        self.depth += 1
        if self.depth > DEPTH_MOST:
            raise _refusal(f"is nested more than {DEPTH_MOST} deep")
        found = read()
        self.depth -= 1
        return found

    def _condition(self) -> Condition:
        self.terms += 1
        if self.terms > TERMS_MOST:
            raise _refusal(f"has more than {TERMS_MOST} conditions")
        found = _FIELD.match(self.text, self.place)
        if found is None:
            raise self._unexpected("a field")
        name = ALIASES.get(found["word"], found["word"])
        if name not in FIELDS:
            raise _refusal(f"names {found['word'][:SHOWN_MOST]!r}; the fields are {', '.join(FIELDS)}")
        self.place = found.end()
        field = FIELDS[name]
        sign = _TOKEN.match(self.text, self.place)
        if sign is None or sign["operator"] not in field.operators:
            raise self._unexpected(f"one of {' '.join(field.operators)} after {name}")
        self.place = sign.end()
        return Condition(name, sign["operator"], self._value(name))

    def _value(self, name: str) -> Value:
        found = _TOKEN.match(self.text, self.place)
        if found is None or not (found["quoted"] or found["word"]):
            raise self._unexpected(f"a value of {name}; put quotation marks around a text with spaces")
        text = re.sub(r"\\(.)", r"\1", found["quoted"][1:-1]) if found["quoted"] else found["word"]
        try:
            value = FIELDS[name].read(text)
        except ValueError as error:
            raise _refusal(f"has {text[:SHOWN_MOST]!r} as {name}, which {error}") from None
        self.place = found.end()
        return value

    def _next(self, word: str) -> bool:
        found = _TOKEN.match(self.text, self.place)
        return found is not None and word in (found["bracket"], found["word"])

    def _take(self, word: str) -> bool:
        if not self._next(word):
            return False
        found = _TOKEN.match(self.text, self.place)
        assert found is not None
        self.place = found.end()
        return True

    def _unexpected(self, wanted: str) -> InvalidInput:
        rest = self.text[self.place :].lstrip()
        came = repr(rest[:SHOWN_MOST]) if rest else "its end"
        return _refusal(f"has {came} at character {self.place + 1}, where {wanted} should be")
