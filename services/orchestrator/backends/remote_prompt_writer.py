"""RemotePromptWriter: the process that writes prompts by a language model, behind `i2v.provider.v1.PromptWriter`."""

import logging
from collections.abc import Callable
from typing import Any

import grpc
from i2v.provider.v1 import prompt_pb2, prompt_pb2_grpc

from services.certificates.certificate_files import CertificateFiles
from services.errors import Unavailable
from services.orchestrator.backends.grpc_error_message import is_full, message_of
from services.orchestrator.domain.event import JobError, PromptWritten
from services.orchestrator.domain.price import CURRENCY
from services.orchestrator.domain.spec import Scene, SceneAnimation, TalkingAvatar
from services.orchestrator.ports.backend import AttemptFailed
from services.orchestrator.ports.prompt_writer import ModelDown
from services.reasons import PromptReason
from services.rpc import auth
from services.rpc.channel import open_channel
from services.rpc.client_metrics import ClientMetrics
from services.rpc.status_codes import from_call

WRITE_S = 90.0
"""Seconds that a prompt may take: a language model may be slow, and be called a second time."""
RETRY_AFTER_S = 30.0
"""Seconds before the next call of a language model that gives no time of its own."""
KINDS = {
    SceneAnimation.kind: prompt_pb2.WritePromptRequest.ANIMATION,
    TalkingAvatar.kind: prompt_pb2.WritePromptRequest.TALKING,
}
SOURCES = {
    prompt_pb2.WritePromptResponse.JSON: "json",
    prompt_pb2.WritePromptResponse.TEXT: "text",
}

log = logging.getLogger(__name__)


class RemotePromptWriter:
    """The PromptWriter port over that process. Use `close` at the end."""

    def __init__(
        self,
        address: str,
        key: Callable[[], str] = str,
        *,
        tls: CertificateFiles | None = None,
        calls: ClientMetrics | None = None,
    ) -> None:
        """`key` returns the orchestrator's credential at providers. Without `tls` the connection is plaintext."""
        self._channel = open_channel(address, (("grpc.enable_retries", 0),), tls=tls, metrics=calls)
        self._key = key
        self._stub: Any = prompt_pb2_grpc.PromptWriterStub(self._channel)

    async def close(self) -> None:
        """Closes the connection."""
        await self._channel.close()

    async def write(self, kind: str, scene: Scene, most_characters: int, name: str) -> PromptWritten:
        """Has a prompt written. Raises AttemptFailed, ModelDown, Unavailable."""
        request = prompt_pb2.WritePromptRequest(
            kind=KINDS[kind],
            scene=scene.scene,
            story=scene.story,
            details=dict(scene.details),
            max_characters=most_characters,
            request_id=name,
        )
        try:
            answer = await self._stub.WritePrompt(request, metadata=auth.bearer(self._key()), timeout=WRITE_S)
        except grpc.aio.AioRpcError as error:
            raise _failure(error) from error
        if answer.cost_micros and answer.currency_code != CURRENCY:
            # No exchange rate is known here, so the ledger would be wrong.
            cost = {"cost_micros": answer.cost_micros, "currency": answer.currency_code[:8]}
            log.error("a prompt's cost is in another currency", extra=cost)
            what = f"The prompt writer counts in another currency than {CURRENCY}. Tell the operators."
            raise AttemptFailed(JobError(PromptReason.PROMPT_CURRENCY, what, retryable=True))
        return PromptWritten(
            prompt=answer.prompt[:most_characters],
            negative_prompt=answer.negative_prompt,
            source=SOURCES.get(answer.source, "template"),
            llm=answer.llm,
            cost_micros=max(0, answer.cost_micros),
            warning=answer.warning,
        )


def _failure(error: grpc.aio.AioRpcError) -> Exception:
    failure = from_call(error)
    if error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED and not is_full(error):
        what = "The account at the language model has nothing left. Tell the operators."
        return AttemptFailed(JobError(PromptReason.LLM_QUOTA, what, retryable=True), spent_micros=_spent(error))
    if error.code() is grpc.StatusCode.FAILED_PRECONDITION:
        what = "The language model refuses our key."
        return AttemptFailed(JobError(PromptReason.LLM_KEY, what, retryable=True), spent_micros=_spent(error))
    if failure.reason == PromptReason.LLM_DOWN or error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
        why = message_of(error, "the language model did not answer in time.")
        wait_s = RETRY_AFTER_S if failure.retry_after_s is None else failure.retry_after_s
        return ModelDown(f"The prompt cannot be written now: {why}", retry_after_s=wait_s, reason=PromptReason.LLM_DOWN)
    if error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED):
        why = message_of(error, "the prompt writer cannot be reached.")
        return Unavailable(f"The prompt cannot be written now: {why}", reason=PromptReason.PROMPT_WRITER_UNREACHABLE)
    why = message_of(error, "the prompt writer failed.")
    return AttemptFailed(
        JobError(PromptReason.PROMPT_WRITER_REFUSED, f"The prompt cannot be written: {why}", retryable=False)
    )


def _spent(error: grpc.aio.AioRpcError) -> int:
    """Returns the cost of answers that could not be used before the error."""
    cost = from_call(error).metadata.get("cost_micros", "")
    return int(cost) if cost.isascii() and cost.isdigit() and len(cost) < 16 else 0
