"""Requests to a vendor and their answers, with two rules that keep money safe.

The request that costs money is sent once, over a new connection: if a server closes a kept one at that moment, it is
unknown whether the request arrived. And a request counts as arrived unless the opposite is certain. All other requests
are free and may be repeated.

Answers are untrusted: read up to a limit, never decompressed, parsed without trust in depth, size or types.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from time import monotonic
from types import TracebackType
from typing import Self, TypeVar

import httpx

from services.outbound.destinations import Destinations, GuardedTransport, guarded_client
from services.outbound.http_span import http_span, note_status
from services.providers import task_failures
from services.providers.answer_json import parsed, plain
from services.providers.metrics import VendorMeter
from services.providers.request_body import RequestBody, Unreadable
from services.providers.system_clock import Clock
from services.providers.vendor import Charge, Failed, VendorRequestFailed
from services.reasons import VendorReason
from services.resource_shortage import shortage

T = TypeVar("T")
log = logging.getLogger(__name__)

ANSWER_BYTES = 1 << 20
KEY_BYTES = 6
"""A shorter text is no key, and would be found everywhere."""
PLAIN = {"accept": "application/json", "accept-encoding": "identity"}
TOTAL_FACTOR = 4
"""The time limit of a request, as a multiple of the limit between two of its bytes."""
AT_A_TIME = 100
"""Requests that cost nothing, uploads among them."""
NAMED_CHARACTERS = 200
DELAY_S = 3600.0
"""No vendor keeps us waiting for longer than this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestTimeouts:
    """How long a request may take, in seconds."""

    connect_s: float = 10.0
    submit_s: float = 60.0
    """Between two bytes while the paid request is sent and answered."""
    look_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer. `data` is None where it was no JSON."""

    status: int
    data: object = None
    headers: Mapping[str, str] = field(default_factory=dict)
    retry_delay_s: float | None = None

    def get(self, *path: str | int, kind: type[T]) -> T | None:
        """Returns the value at a path of keys and positions if it is there and of the kind; a bool is no number."""
        return dig(self.data, *path, kind=kind)


def dig(data: object, *path: str | int, kind: type[T]) -> T | None:
    """Returns the value at a path of keys and positions if it is there and of the kind; a bool is no number."""
    for step in path:
        if isinstance(step, str) and isinstance(data, dict):
            data = data.get(step)
        elif isinstance(step, int) and isinstance(data, list) and step < len(data):
            data = data[step]
        else:
            return None
    if isinstance(data, bool) and kind is not bool:
        return None
    return data if isinstance(data, kind) else None


class VendorClient:
    """A client for one vendor's API. The key is sent in `authorization` only."""

    def __init__(
        self,
        base: str,
        scheme: str,
        key: Callable[[], str],
        *,
        destinations: Destinations,
        timeouts: RequestTimeouts,
        meter: VendorMeter,
        clock: Clock,
        answer_headers: Collection[str] = (),
        at_a_time: int = AT_A_TIME,
    ) -> None:
        """`key` returns the key that is used now.

        `answer_headers` names the headers of answers that are used, in lower case.
        `at_a_time` is how many requests that cost nothing may be open.
        """
        self._base = base.rstrip("/")
        self._scheme, self._key = scheme, key
        self._timeouts = timeouts
        self._meter = meter
        self._clock = clock
        self._answer_headers = tuple(answer_headers)
        self._paid = _client(destinations, httpx.Limits(max_connections=None, max_keepalive_connections=0))
        self._free = _client(destinations, httpx.Limits(max_connections=None, max_keepalive_connections=at_a_time))
        self._turns = asyncio.Semaphore(at_a_time)

    async def pay(self, path: str, body: RequestBody, headers: Mapping[str, str] | None = None) -> Answer:
        """Sends the one request that costs money, once.

        Raises:
            Failed: it was certainly not sent, or that is unknown; `charge` has which.
        """
        began = monotonic()
        timeout = httpx.Timeout(self._timeouts.submit_s, connect=self._timeouts.connect_s, pool=None)
        try:
            # The time between two bytes is limited by httpx, the whole of it by us: an answer may trickle.
            async with asyncio.timeout(TOTAL_FACTOR * self._timeouts.submit_s):
                answer = await self._send(self._paid, "POST", path, body, headers or {}, timeout, template=path)
        except (httpx.ConnectError, httpx.ConnectTimeout, Unreadable) as error:
            # A body ends with text after its inputs: without it the vendor has no complete request.
            self._meter.requested("submit", "not-sent", monotonic() - began)
            if (lacking := shortage(error)) is not None:
                raise task_failures.unsent(lacking) from error
            raise Failed(
                "The vendor could not be reached; nothing was sent to it.",
                reason=VendorReason.VENDOR_DOWN,
                charge=Charge.NOT_CHARGED,
                retryable=True,
            ) from error
        except (httpx.HTTPError, TimeoutError) as error:
            self._meter.requested("submit", "lost", monotonic() - began)
            raise Failed(
                "The vendor was asked and its answer did not arrive.",
                reason=VendorReason.ANSWER_LOST,
                charge=Charge.UNKNOWN,
            ) from error
        self._meter.requested("submit", f"{answer.status // 100}xx", monotonic() - began)
        return answer

    async def ask(
        self,
        method: str,
        path: str,
        *,
        kind: str,
        body: RequestBody | None = None,
        timeout_s: float | None = None,
        with_key: bool = True,
        template: str,
    ) -> Answer:
        """Sends a request that costs nothing. `template` is the path for traces, with names in place of ids.

        `kind` is the label in the metrics: `look`, `cancel`, `find`, `upload` or `webhook`. A URL that the vendor has
        named is requested without our key.

        Raises:
            VendorRequestFailed: no answer came. An answer of any status is returned.
        """
        began = monotonic()
        timeout = httpx.Timeout(timeout_s or self._timeouts.look_s, connect=self._timeouts.connect_s, pool=None)
        try:
            # The wait for a turn is no failure of the vendor. And the pool of httpx compares each waiting request with
            # each of its connections again and again: a few hundred keep the event loop busy.
            async with self._turns, asyncio.timeout(TOTAL_FACTOR * (timeout_s or self._timeouts.look_s)):
                began = monotonic()
                answer = await self._send(
                    self._free, method, path, body, {}, timeout, with_key=with_key, template=template
                )
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError, TimeoutError, Unreadable) as error:
            # A vendor may name the URL.
            self._meter.requested(kind, "lost", monotonic() - began)
            raise VendorRequestFailed(f"no answer: {type(error).__name__}", down=shortage(error) is None) from error
        self._meter.requested(kind, f"{answer.status // 100}xx", monotonic() - began)
        return answer

    def mixed_up(self, kind: str, ref: str, named: object) -> VendorRequestFailed:
        """Records an answer for another task or model than requested. Returns an error: it counts as no answer.

        `kind` is the label in the metrics: `submit`, `look`, `cancel` or `find`; `named` is what the answer names.
        """
        self._meter.mixed_up(kind)
        wrong = {"kind": kind, "external_ref": ref, "named": str(named)[:NAMED_CHARACTERS]}
        log.error("the vendor answered for another task", extra=wrong)
        return VendorRequestFailed("an answer for another task")

    async def _send(
        self,
        client: httpx.AsyncClient,
        method: str,
        path: str,
        body: RequestBody | None,
        headers: Mapping[str, str],
        timeout: httpx.Timeout,
        *,
        with_key: bool = True,
        template: str,
    ) -> Answer:
        url = path if path.startswith(("https://", "http://")) else f"{self._base}{path}"
        key = self._key()
        credentials = {"authorization": f"{self._scheme} {key}"} if with_key else {}
        own = {**PLAIN, **credentials, **headers}
        if body is not None:
            own |= {"content-type": body.content_type, "content-length": str(body.length)}
        request = client.build_request(
            method,
            url,
            headers=own,
            content=body.pieces() if body is not None else None,
            timeout=timeout,
        )
        with http_span(method, request.url, template) as span:
            response = await client.send(request, stream=True)
            note_status(span, response.status_code)
            try:
                return await self._read(response, key.encode())
            finally:
                await response.aclose()

    async def _read(self, response: httpx.Response, key: bytes) -> Answer:
        kept = {name: response.headers.get(name, "") for name in self._answer_headers}
        delay_s = self._delay_s(response.headers.get("retry-after", ""))
        data = None
        try:
            data = parsed(_without(key, plain(await _limited(response))))
        except httpx.HTTPError:
            # A refusal is recognised by its status; only an acceptance needs its body.
            if response.status_code < 400:
                raise
        return Answer(response.status_code, data, kept, delay_s)

    def _delay_s(self, text: str) -> float | None:
        """Returns the seconds that a Retry-After header asks for, in either of its two forms."""
        if text.isascii() and text.isdigit() and len(text) < 10:
            return min(float(text), DELAY_S)
        try:
            return min(max(parsedate_to_datetime(text).timestamp() - self._clock(), 0.0), DELAY_S)
        except (ValueError, TypeError, OverflowError):
            return None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._paid.aclose()
        await self._free.aclose()


def _without(key: bytes, text: bytes) -> bytes:
    """Returns an answer without our key: callers would see it if the vendor quoted it."""
    return text.replace(key, b"[key]") if len(key) >= KEY_BYTES else text


def _client(destinations: Destinations, limits: httpx.Limits) -> httpx.AsyncClient:
    return guarded_client(GuardedTransport(destinations, limits))


async def _limited(response: httpx.Response) -> bytes:
    """Returns the body, or nothing where it is too large or compressed."""
    if response.headers.get("content-encoding", "identity") != "identity":
        return b""
    found = bytearray()
    async for chunk in response.aiter_raw():
        found += chunk
        if len(found) > ANSWER_BYTES:
            return b""
    return bytes(found)
