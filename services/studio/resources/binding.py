"""Binding: a method and a path of HTTP, and the RPC behind them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from google.protobuf.descriptor import Descriptor, MethodDescriptor
from google.protobuf.descriptor_pool import Default

Verb = Literal["GET", "POST", "PATCH", "DELETE"]
WHOLE = "*"
_VARIABLE = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Binding:
    """One operation over HTTP. GET also answers HEAD.

    A field of the request comes from one place: the path, the body, or the query, which has what the other two leave.
    """

    method: Verb
    path: str
    """With variables, such as `/v1/jobs/{job}:cancel`. A variable is one part of a path."""
    rpc: str
    """Full name, such as `i2v.v1.JobService.GetJob`."""
    fills: Mapping[str, str] = field(default_factory=dict)
    """What the path says, by fields of the request: `{"name": "jobs/{job}"}`."""
    body: str = ""
    """The field that is the body; `*`: the request itself; empty: none. An absent body is an empty object."""
    status: int = 200
    """Of success."""
    key: str = ""
    """The field that `Idempotency-Key` fills, and a random id without one. Of a list of requests: `jobs.request_id`."""
    etag: str = ""
    """The field that `If-Match` fills, such as `asset.etag`."""
    hidden: frozenset[str] = frozenset()
    """Fields that HTTP does not take: those of operators, and those that make no sense."""
    location: str = ""
    """Path of what was made, with a field of the response whose last part is its id: `/v1/jobs/{name}`."""
    lines: bool = False
    """Whether the response is a stream of JSON lines."""
    seconds: float = 0.0
    """Time limit; 0: that of the process."""

    @cached_property
    def variables(self) -> tuple[str, ...]:
        """Names of the variables of the path."""
        return tuple(_VARIABLE.findall(self.path))

    @cached_property
    def descriptor(self) -> MethodDescriptor:
        """The RPC."""
        found: MethodDescriptor = Default().FindMethodByName(self.rpc)
        return found

    @cached_property
    def request(self) -> Descriptor:
        """The request of the RPC."""
        found: Descriptor = self.descriptor.input_type
        return found

    @cached_property
    def response(self) -> Descriptor:
        """The response of the RPC, or one of them if it streams."""
        found: Descriptor = self.descriptor.output_type
        return found

    @cached_property
    def body_type(self) -> Descriptor | None:
        """The message that is the body; None: there is no body."""
        if self.body in ("", WHOLE):
            return self.request if self.body else None
        return self.request.fields_by_name[self.body].message_type

    @cached_property
    def mask(self) -> str:
        """The field mask of an update: without one, the fields of the body are changed. Empty: there is none."""
        return "update_mask" if self.method == "PATCH" and "update_mask" in self.request.fields_by_name else ""

    @cached_property
    def body_fields(self) -> frozenset[str]:
        """The fields that a body may have, of its message."""
        if self.body_type is None:
            return frozenset()
        without = self.hidden | set(self.fills) if self.body == WHOLE else self._below(self.fills)
        return frozenset(self.body_type.fields_by_name) - without

    @cached_property
    def query_fields(self) -> frozenset[str]:
        """The fields of the request that the query may have."""
        if self.body == WHOLE:
            return frozenset()
        filled = {path.partition(".")[0] for path in self.fills}
        return frozenset(self.request.fields_by_name) - self.hidden - filled - {self.body}

    @cached_property
    def pages(self) -> bool:
        """Whether the response is a page with a token of the next one."""
        return "page_token" in self.request.fields_by_name and "next_page_token" in self.response.fields_by_name

    def _below(self, paths: Mapping[str, str]) -> set[str]:
        """Returns the fields of the body among paths of the request."""
        return {path.removeprefix(f"{self.body}.") for path in paths if path.startswith(f"{self.body}.")}
