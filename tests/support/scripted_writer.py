"""A prompt writer that a test controls, on a real socket."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
from grpc_status import rpc_status
from i2v.provider.v1 import prompt_pb2, prompt_pb2_grpc

from services.errors import Unavailable
from services.rpc.status_codes import to_status


class ScriptedWriter(prompt_pb2_grpc.PromptWriterServicer):
    """Answers with one prompt, or fails as scripted."""

    def __init__(self) -> None:
        self.asked: list[prompt_pb2.WritePromptRequest] = []
        self.writing = asyncio.Event()
        """While cleared, a prompt waits before it is answered."""
        self.writing.set()
        self.troubles: list[tuple[grpc.StatusCode, str]] = []
        self.down_s: list[float] = []
        """The language model is down, and requests such a pause; one for each call."""
        self.answer = prompt_pb2.WritePromptResponse(
            prompt="The wave rises slowly and breaks.",
            negative_prompt="no text",
            source=prompt_pb2.WritePromptResponse.JSON,
            llm="a-model",
            cost_micros=700,
            currency_code="USD",
        )

    async def WritePrompt(self, request: Any, context: Any) -> prompt_pb2.WritePromptResponse:
        self.asked.append(request)
        await self.writing.wait()
        if self.troubles:
            await context.abort(*self.troubles.pop(0))
        if self.down_s:
            down = Unavailable("The language model is down.", retry_after_s=self.down_s.pop(0), reason="LLM_DOWN")
            await context.abort_with_status(rpc_status.to_status(to_status(down)))
        return self.answer


@asynccontextmanager
async def writing(writer: ScriptedWriter) -> AsyncIterator[str]:
    """Yields the address."""
    server = grpc.aio.server()
    prompt_pb2_grpc.add_PromptWriterServicer_to_server(writer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)
