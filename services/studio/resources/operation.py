"""Operation: answers the requests of a binding."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

from google.protobuf.message import Message
from starlette.requests import Request
from starlette.responses import Response

from services.reasons import HttpReason, LibraryReason
from services.rpc.status_codes import Failure
from services.studio import entity_tag, problem
from services.studio.api_error import ApiError
from services.studio.caller import Caller
from services.studio.idempotency import key_of
from services.studio.media_body import MediaBody
from services.studio.refused_request import RefusedRequest
from services.studio.request_body import Bodies, Chunks, content_type, json_object
from services.studio.resources import json_message, preconditions, transcoding
from services.studio.resources.binding import Binding
from services.studio.resources.calls import Calls

BYTES_MOST = 2 * 2**20
"""Of a body. The API takes requests of 1 MiB, which JSON spells out."""
BYTES_UNCHECKED = 64 * 1024
"""A body of up to that size is read before its credential is known."""
JSON_TYPES = ("application/json", "application/merge-patch+json")
LINES = "application/x-ndjson"
HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


@dataclass(frozen=True, slots=True)
class Operation:
    """Answers requests."""

    binding: Binding
    calls: Calls
    bodies: Bodies
    stall_s: float

    async def answer(self, request: Request, who: Caller) -> Response:
        """Returns the response. Raises RefusedRequest; a refusal of the API is a problem, with the fields of HTTP."""
        binding = self.binding
        path = transcoding.path_values(binding, request.path_params)
        etag = preconditions.expected(binding, request.headers.get("if-match"))
        key = key_of(request) if binding.key else None
        async with AsyncExitStack() as stack:
            body = None
            if _has_body(request):
                _demand_json(request, binding)
                if not _is_small(request):
                    await self.calls.check(who)
                body = await stack.enter_async_context(self.bodies.of(request, who.credential, _json, BYTES_MOST))
            message = transcoding.request(
                binding, path=path, query_string=request.scope["query_string"], body=body, key=key, etag=etag
            )
        try:
            if binding.lines:
                return await self._lines(who, message)
            found = await self.calls.answer(binding, who, message)
        except ApiError as error:
            return _refusal(transcoding.as_asked(binding, error.failure), matched=bool(etag))
        return self._found(request, found)

    def _found(self, request: Request, found: Message) -> Response:
        binding, body, headers = self.binding, json_message.to_json(found), dict(HEADERS)
        if binding.method == "GET" or binding.etag:
            headers["ETag"] = preconditions.tag(found, body)
        if binding.method == "GET" and entity_tag.is_known(request.headers.get("if-none-match", ""), headers["ETag"]):
            return Response(None, 304, headers)
        if binding.pages and (token := getattr(found, "next_page_token", "")):
            headers["Link"] = f'<{_next(request, token)}>; rel="next"'
        if binding.location and (made := _made(binding.location, found)):
            headers["Location"] = made
        return Response(body, binding.status, headers, "application/json")

    async def _lines(self, who: Caller, message: Message) -> Response:
        """Returns a response of JSON lines. One that breaks off closes the connection, so that it is seen."""

        async def lines() -> AsyncGenerator[bytes, None]:
            async for each in self.calls.answers(self.binding, who, message):
                yield json_message.to_json(each) + b"\n"

        found = lines()
        first = await anext(found, b"")
        return MediaBody(first, found, 200, HEADERS, LINES, stall_s=self.stall_s, sent=lambda _: None)


def _has_body(request: Request) -> bool:
    headers = request.headers
    return "transfer-encoding" in headers or headers.get("content-length", "0").strip() != "0"


def _is_small(request: Request) -> bool:
    length = request.headers.get("content-length", "")
    return length.isascii() and length.isdigit() and int(length) <= BYTES_UNCHECKED


def _demand_json(request: Request, binding: Binding) -> None:
    if not binding.body:
        sentence = "This request takes no body."
        raise RefusedRequest(sentence, reason=HttpReason.BODY_UNEXPECTED)
    if content_type(request) not in JSON_TYPES or request.headers.get("content-encoding", "identity") != "identity":
        sentence = "Send application/json, without a content encoding."
        raise RefusedRequest(sentence, reason=HttpReason.CONTENT_TYPE_UNSUPPORTED, status=415)


async def _json(request: Request, chunks: Chunks) -> Mapping[str, object]:
    return json_object(b"".join([chunk async for chunk in chunks]))


def _refusal(failure: Failure, *, matched: bool) -> Response:
    outdated = matched and failure.reason == LibraryReason.ETAG_OUTDATED
    return problem.of_failure(failure, status=412 if outdated else 0)


def _next(request: Request, token: str) -> str:
    """Returns the address of the next page, without the host: a client resolves it against the one that it called."""
    names = ("pageToken", "page_token")
    given = [(name, text) for name, text in parse_qsl(request.url.query, keep_blank_values=True) if name not in names]
    return f"{quote(request.url.path, safe='/:')}?{urlencode([*given, ('pageToken', token)])}"


def _made(template: str, found: Any) -> str:
    """Returns where what was made is; empty: nothing was made."""
    before, _, field = template.rstrip("}").partition("{")
    for part in field.split("."):
        found = getattr(found, part)
    return f"{before}{quote(found.rpartition('/')[2])}" if found else ""
