"""WebhookReceiver over HTTP: to public hosts alone, without redirects, within a time and a size."""

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable, Mapping
from contextlib import suppress
from email.utils import parsedate_to_datetime

import httpx

from services.orchestrator.ports.clock_and_ids import Clock
from services.orchestrator.ports.webhook_receiver import Answer
from services.outbound.destinations import Destinations, GuardedTransport, NotAllowed, guarded_client
from services.outbound.http_span import http_span, note_status
from services.reasons import DeliveryReason
from services.resource_shortage import shortage

HOSTS = 1000
"""Host names with kept connections."""
KEPT_CONNECTIONS, KEPT_S = 4, 30.0
"""For each host."""
ANSWER_BYTES = 4096
"""Of an answer's body, which is read only so that its connection can be used again."""
ANSWER_S = 1.0
LIMITS = httpx.Limits(max_connections=None, max_keepalive_connections=KEPT_CONNECTIONS, keepalive_expiry=KEPT_S)

log = logging.getLogger(__name__)


class HttpReceivers:
    """The receivers, over connections of one process. A 2xx status is an answer, even if its body breaks off."""

    def __init__(
        self,
        destinations: Destinations,
        clock: Clock,
        *,
        timeout_s: float,
        transport: Callable[[Destinations], GuardedTransport] = lambda allowed: GuardedTransport(
            allowed, LIMITS, hosts=HOSTS
        ),
    ) -> None:
        """A receiver has `timeout_s` from the look-up of its name to its status, and half of it for TLS."""
        self._clock = clock
        self._timeout_s = timeout_s
        # The library closes a connection that is too slow at its own time limit, and at ours only when it is collected.
        self._client = guarded_client(transport(destinations), httpx.Timeout(timeout_s, connect=timeout_s / 2))

    async def post(self, url: str, headers: Mapping[str, str], body: str) -> Answer:
        """Sends a body. Raises Unavailable if our own resources do not suffice."""
        try:
            return await self._post(url, headers, body)
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError, OSError) as error:
            if (lacking := shortage(error)) is not None:
                raise lacking from error
            failure = _failure(error)
            log.debug("a receiver of webhooks did not answer", extra={"reason": failure, "cause": str(error)})
            return Answer(None, failure)

    async def _post(self, url: str, headers: Mapping[str, str], body: str) -> Answer:
        # No encoding: a body that is small on the wire could be endless in memory.
        own = {"accept-encoding": "identity", **headers}
        request = self._client.build_request("POST", url, headers=own, content=body.encode())
        with http_span("POST", request.url, "webhook") as span:
            async with asyncio.timeout(self._timeout_s):
                response = await self._client.send(request, stream=True)
            note_status(span, response.status_code)
            try:
                await _read(response)
            finally:
                with suppress(httpx.HTTPError, OSError):
                    await response.aclose()
        return Answer(response.status_code, retry_after_s=self._retry_after_s(response.headers.get("retry-after", "")))

    def _retry_after_s(self, text: str) -> float | None:
        """Returns the seconds that a Retry-After header asks for, in either of its two forms."""
        if text.isascii() and text.isdigit() and len(text) < 10:
            return float(text)
        try:
            return max(0.0, (parsedate_to_datetime(text) - self._clock.now()).total_seconds())
        except (ValueError, TypeError, OverflowError):
            return None

    async def close(self) -> None:
        """Closes every connection."""
        await self._client.aclose()


async def _read(response: httpx.Response) -> None:
    """Reads a short body to its end; of any other the connection is closed."""
    with suppress(httpx.HTTPError, OSError):
        async with asyncio.timeout(ANSWER_S):
            size = 0
            async for chunk in response.aiter_raw():
                size += len(chunk)
                if size > ANSWER_BYTES:
                    return


def _failure(error: Exception) -> DeliveryReason:
    if isinstance(error, TimeoutError | httpx.TimeoutException):
        return DeliveryReason.RECEIVER_SLOW
    if isinstance(error, NotAllowed | httpx.InvalidURL | httpx.UnsupportedProtocol | UnicodeError):
        return DeliveryReason.RECEIVER_FORBIDDEN
    if not isinstance(error, httpx.ConnectError):
        return DeliveryReason.RECEIVER_BROKEN
    if _caused_by(error, socket.gaierror):
        return DeliveryReason.RECEIVER_UNRESOLVED
    if _caused_by(error, ssl.SSLError):
        return DeliveryReason.RECEIVER_TLS_FAILED
    return DeliveryReason.RECEIVER_UNREACHABLE


def _caused_by(error: BaseException, kind: type[BaseException]) -> bool:
    found: BaseException | None = error
    while found is not None and not isinstance(found, kind):
        found = found.__cause__ or found.__context__
    return found is not None
