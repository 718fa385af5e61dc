"""The context of a trace as text: what W3C's headers `traceparent` and `tracestate` carry."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

TRACEPARENT, TRACESTATE = "traceparent", "tracestate"
FORM = re.compile(r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-[!-~]*)?")
LENGTH_MOST = 512
"""Characters of either header; a longer one is ignored."""
STATE = re.compile(r"[ -~]{1,512}")

Header = tuple[str, str | bytes]


@dataclass(frozen=True, slots=True)
class TraceContext:
    """A span of some process, of which another span is a child."""

    trace_id: str
    """32 hexadecimal digits."""
    span_id: str
    """16 hexadecimal digits."""
    sampled: bool
    """Whether the trace is recorded."""
    state: str = ""
    """What tracing systems add to it; not read here."""

    @classmethod
    def parse(cls, parent: str, state: str = "") -> Self | None:
        """Returns the context of the two headers, None for a traceparent that is not one. A bad state is left out."""
        found = FORM.fullmatch(parent) if len(parent) <= LENGTH_MOST else None
        if found is None or (found[1] == "00" and found[5]):
            return None
        return cls(found[2], found[3], bool(int(found[4], 16) & 1), state if STATE.fullmatch(state) else "")

    @classmethod
    def of_headers(cls, headers: Iterable[Header]) -> Self | None:
        """Returns the context of a call's headers, None if they have none. One that is given twice is none."""
        parents = [value for name, value in headers if name == TRACEPARENT]
        if len(parents) != 1 or not isinstance(parents[0], str):
            return None
        states = [value for name, value in headers if name == TRACESTATE and isinstance(value, str)]
        return cls.parse(parents[0], ",".join(states))

    @classmethod
    def of_text(cls, text: str) -> Self | None:
        """Returns the context that `text` was made from, None for any other text."""
        parent, _, state = text.partition(" ")
        return cls.parse(parent, state)

    @property
    def parent(self) -> str:
        """The header `traceparent`."""
        return f"00-{self.trace_id}-{self.span_id}-{self.sampled:02x}"

    @property
    def text(self) -> str:
        """Both headers in one text, to be stored."""
        return f"{self.parent} {self.state}".rstrip()

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """The headers for a call."""
        parent = (TRACEPARENT, self.parent)
        return (parent, (TRACESTATE, self.state)) if self.state else (parent,)
