"""The typed description of an operation of HTTP, from which the document is made."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from tools.openapi.message_schemas import Schema


@dataclass(frozen=True, slots=True)
class Events:
    """Server-sent events, each with one of these messages as its data."""

    messages: tuple[str, ...]
    """Their full names."""


Shape = Schema | str | Events
"""A JSON schema, or the full name of a message, such as `i2v.v1.Job`. Of a stream it is that of each event or line."""
JSON = "application/json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """A parameter. Those in the path are always required."""

    name: str
    where: Literal["path", "query", "header"]
    description: str
    schema: Shape
    required: bool = False
    example: str | int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """The body of a request."""

    contents: Mapping[str, Shape]
    """By media type."""
    description: str = ""
    required: bool = True
    example: Any = None
    """Of the first media type."""
    file: str = ""
    """A local file that the example command sends as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What comes back with a status."""

    description: str
    contents: Mapping[str, Shape] = field(default_factory=dict)
    """By media type."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """What each header has, by name."""
    example: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """A method of a path."""

    method: Literal["get", "post", "put", "patch", "delete", "head", "options"]
    path: str
    """With names in braces: `/v1/jobs/{job}`."""
    operation_id: str
    """Unique, lowerCamelCase: generated clients name their functions by it."""
    summary: str
    """A short sentence without a full stop."""
    description: str = ""
    parameters: tuple[Parameter, ...] = ()
    body: Body | None = None
    answers: Mapping[int, Answer]
    """Each status that may come back, errors too."""
    needs_key: bool = True
    """Whether a request without a credential is refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part of the API with a heading of its own."""

    tag: str
    description: str
    operations: tuple[Operation, ...]
    schemas: Mapping[str, Schema] = field(default_factory=dict)
    """Those that are no messages, by their names in the document."""
