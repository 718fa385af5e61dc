"""A language model behind any OpenAI-compatible endpoint.

The library's own retries are off: it would repeat a call to an account that is used up, and wait as long as two minutes
as the endpoint requests. Ours are few and short, and never repeat what cannot succeed. A repeated call may be paid
for twice; it costs a thousandth of the video that waits for it.

The key is only in the client's header. Errors and log lines contain nothing of the endpoint's answer.
"""

import asyncio
import logging
import re
from dataclasses import dataclass
from time import monotonic
from typing import Any

import httpx2
import openai

from services import bounded_json
from services.errors import LimitViolation, PreconditionFailed, QuotaExceeded, Unavailable
from services.providers.prompt.answer_parser import Unusable
from services.providers.prompt.bounded_transport import BoundedTransport, TooLarge
from services.providers.prompt.endpoint import RETRY_AFTER_S, Endpoint, Sleep
from services.providers.prompt.endpoint_fault import EndpointFault, fault_of
from services.providers.prompt.instructions import SCHEMA, Form
from services.providers.prompt.metrics import LlmMetrics
from services.providers.prompt.token_cost import Usage
from services.reasons import PromptReason
from services.tracing import spans

ANSWER_BYTES = 1024 * 1024
WAIT_S = 0.5
"""Before the first repeat; twice as long before each further one."""
LONGEST_WAIT_S = 5.0
"""An endpoint that requests a longer pause is not waited for: the caller retries."""
LONGEST_RETRY_AFTER_S = 3600.0
MOST_TOKENS = 10_000_000
"""A count beyond is no count."""
ENVELOPE_TOKENS = 64
"""What roles and marks around the messages add at most."""
KEY_CHARACTERS = 16
"""A key with fewer is no secret."""

CHAT: spans.Attributes = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai"}
"""Of a span, which has no word of the request or the answer."""

log = logging.getLogger(__name__)

Sent = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, and was paid for."""

    content: str
    problem: Unusable | None
    """Why there is no content, if there is none."""
    usage: Usage | None
    """Tokens as the endpoint counted them; None where it did not."""
    most: Usage
    """Tokens that it can have taken at most."""


class OpenAiLlm:
    """Asks for one completion at a time; any number of callers."""

    def __init__(self, endpoint: Endpoint, metrics: LlmMetrics, *, sleep: Sleep = asyncio.sleep) -> None:
        self.model = endpoint.model
        self._endpoint, self._metrics = endpoint, metrics
        self._sleep = sleep
        # As many connections as callers: how many those are is the server's to limit.
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=20)
        client = httpx2.AsyncClient(
            transport=BoundedTransport(httpx2.AsyncHTTPTransport(trust_env=False, limits=limits), ANSWER_BYTES),
            timeout=httpx2.Timeout(endpoint.timeout_s, connect=endpoint.connect_timeout_s),
            follow_redirects=False,
            trust_env=False,  # Neither a proxy nor a .netrc of the machine gets the key.
        )
        self._client = openai.AsyncOpenAI(
            api_key=endpoint.key() or "none", base_url=endpoint.url, max_retries=0, http_client=client
        )
        # The library takes these from variables that belong to another endpoint, perhaps.
        self._client.organization = self._client.project = None

    async def close(self) -> None:
        """Closes every connection."""
        await self._client.close()

    def is_given_away(self, text: str) -> bool:
        """Whether a text contains the key. Short ones are words such as `none`, which endpoints without keys take."""
        key = self._endpoint.key()
        return len(key) >= KEY_CHARACTERS and key in text

    async def ask(self, system: str, user: str, form: Form) -> Answer:
        """Returns an answer, usable or not.

        Raises:
            QuotaExceeded: LLM_QUOTA.
            PreconditionFailed: LLM_KEY.
            Unavailable: LLM_DOWN, after as many repeats as the settings have.
            Unusable: the endpoint does not take this request; nothing was paid.
        """
        sent = self._request(system, user, form)
        for repeat in range(self._endpoint.retries + 1):
            wait_s = min(WAIT_S * 2**repeat, LONGEST_WAIT_S)
            self._client.api_key = self._endpoint.key() or "none"
            began, outcome = monotonic(), "given-up"
            try:
                attributes = {**CHAT, "gen_ai.request.model": self.model}
                with spans.begin(f"chat {self.model}", attributes, spans.Kind.CLIENT):
                    async with asyncio.timeout(self._endpoint.timeout_s):
                        raw = await self._client.chat.completions.with_raw_response.create(**sent)
                outcome = "answered"
                return self._read(raw.content, sent)
            except openai.APIStatusError as error:
                fault = fault_of(error.status_code, error.body)
                outcome = fault.name.lower()
                self._log(f"HTTP {error.status_code}", fault.name)
                requested_s = _retry_after_s(error.response.headers.get("retry-after", ""))
                problem, wait_s = self._error_of(fault, error.status_code, requested_s), max(wait_s, requested_s or 0.0)
                if fault is not EndpointFault.BUSY or wait_s > LONGEST_WAIT_S:
                    raise problem from None
            except (openai.APIConnectionError, TimeoutError) as error:
                if isinstance(error.__cause__, TooLarge):
                    outcome = "too-large"
                    self._log("too large", "")
                    return self._answered(Unusable("is too large"), None, sent)
                late = isinstance(error, TimeoutError | openai.APITimeoutError)
                outcome = "late" if late else "unreachable"
                self._log("timed out" if late else "not reached", "")
                problem = _down(f"{self.model} did not answer in time" if late else f"{self.model} was not reached")
            finally:
                self._metrics.requested(outcome, monotonic() - began)
            if repeat == self._endpoint.retries:
                raise problem from None
            await self._sleep(wait_s)
        raise AssertionError("the last repeat returns or raises")

    def _request(self, system: str, user: str, form: Form) -> Sent:
        sent: Sent = {
            "model": self.model,
            "messages": [{"role": "system", "content": system}, {"role": "user", "content": user}],
            self._endpoint.max_tokens_field: self._endpoint.max_tokens,
        }
        if form is Form.JSON and self._endpoint.json_mode == "object":
            sent["response_format"] = {"type": "json_object"}
        if form is Form.JSON and self._endpoint.json_mode == "schema":
            schema = {"name": "video_prompt", "strict": True, "schema": SCHEMA}
            sent["response_format"] = {"type": "json_schema", "json_schema": schema}
        return sent

    def _error_of(self, fault: EndpointFault, status: int, requested_s: float | None) -> Exception:
        match fault:
            case EndpointFault.QUOTA:
                message = f"The account at the language model {self.model} has nothing left. Top it up."
                return QuotaExceeded([_nothing_left(f"llm:{self.model}", message)])
            case EndpointFault.KEY:
                message = f"The language model {self.model} refused the key (HTTP {status}). Give the service another."
                return PreconditionFailed(message, reason=PromptReason.LLM_KEY, metadata={"llm": self.model})
            case EndpointFault.REFUSED:
                return Unusable(f"is a refusal of the request (HTTP {status})")
            case EndpointFault.BUSY:
                return _down(f"{self.model} answered with HTTP {status}", requested_s)
            case EndpointFault.BROKEN:
                return _down(f"{self.model} answered with HTTP {status}; check its address and name", requested_s)

    def _read(self, body: bytes, sent: Sent) -> Answer:
        try:
            document = bounded_json.loads(body)
        except ValueError:
            return self._answered(Unusable("is no JSON"), None, sent)
        if not isinstance(document, dict):
            return self._answered(Unusable("is no completion"), None, sent)
        usage = _usage(document.get("usage"))
        choices = document.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices else None
        message = choice.get("message") if isinstance(choice, dict) else None
        if not isinstance(choice, dict) or not isinstance(message, dict):
            return self._answered(Unusable("is no completion"), usage, sent)
        if message.get("refusal") or choice.get("finish_reason") == "content_filter":
            return self._answered(Unusable("is a refusal", final=True), usage, sent)
        if choice.get("finish_reason") == "length":
            return self._answered(Unusable(f"was cut off at {self._endpoint.max_tokens} tokens"), usage, sent)
        content = message.get("content")
        if not isinstance(content, str):
            return self._answered(Unusable("is empty"), usage, sent)
        return self._answered(content, usage, sent)

    def _answered(self, found: str | Unusable, usage: Usage | None, sent: Sent) -> Answer:
        # A token has at least one byte.
        read = sum(len(each["content"].encode()) for each in sent["messages"]) + ENVELOPE_TOKENS
        most = Usage(read, self._endpoint.max_tokens)
        if isinstance(found, Unusable):
            return Answer("", found, usage, most)
        return Answer(found, None, usage, most)

    def _log(self, outcome: str, fault: str) -> None:
        log.warning("the language model did not answer", extra={"llm": self.model, "outcome": outcome, "cause": fault})


def _usage(reported: object) -> Usage | None:
    """Returns the tokens of an answer, if they are plausible."""
    if not isinstance(reported, dict):
        return None
    counts = [reported.get("prompt_tokens"), reported.get("completion_tokens")]
    numbers = [each for each in counts if isinstance(each, int) and not isinstance(each, bool)]
    if len(numbers) != len(counts) or not all(0 <= each <= MOST_TOKENS for each in numbers):
        return None
    return Usage(*numbers)


def _retry_after_s(header: str) -> float | None:
    """Returns what a Retry-After in seconds asks for; a date is not read."""
    return float(header) if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,6})?", header) else None


def _nothing_left(subject: str, message: str) -> LimitViolation:
    """Returns the violation of a vendor's own limit, of which only the fact is known."""
    return LimitViolation(
        subject=subject,
        measure="vendor-account",
        per="",
        plan="",
        limit=0,
        used=0,
        asked=1,
        resets_at=None,
        description=message,
        reason=PromptReason.LLM_QUOTA,
    )


def _down(what: str, requested_s: float | None = None) -> Unavailable:
    after_s = RETRY_AFTER_S if requested_s is None else min(requested_s, LONGEST_RETRY_AFTER_S)
    return Unavailable(f"The language model {what}. Try again.", retry_after_s=after_s, reason=PromptReason.LLM_DOWN)
