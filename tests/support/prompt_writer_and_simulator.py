"""A prompt writer in this process, before a simulated language model: real sockets on both sides."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from i2v.provider.v1 import prompt_pb2, prompt_pb2_grpc
from prometheus_client import CollectorRegistry

from services.providers.prompt.app import open_app
from services.providers.prompt.settings import Settings
from services.rpc.status_codes import Failure, from_call
from tools.simulators.llm import MODEL, LlmSimulator, Step

Request = prompt_pb2.WritePromptRequest
KEY = "sk-simulated-0123456789abcdef"
CALLER = "orchestrators-key"
SCENE = "An old fisherman mends his net on a pier at dawn while gulls circle above him."
GOOD = "The fisherman pulls the net through his hands while the camera drifts closer and gulls pass overhead."
RETRIES = 2


@dataclass
class Rig:
    llm: LlmSimulator
    stub: Any
    waits: list[float]
    """Seconds that it would have waited between calls."""
    registry: CollectorRegistry

    def next(self, *steps: Step) -> None:
        self.llm.script.extend(steps)

    async def write(self, **request: Any) -> prompt_pb2.WritePromptResponse:
        values = {"kind": Request.ANIMATION, "scene": SCENE, "max_characters": 400, **request}
        response: prompt_pb2.WritePromptResponse = await self.stub.WritePrompt(
            Request(**values), metadata=(("authorization", f"Bearer {CALLER}"),), timeout=20
        )
        return response

    async def fails(self, **request: Any) -> Failure:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await self.write(**request)
        assert KEY not in str(caught.value.trailing_metadata()) + str(caught.value)
        return from_call(caught.value)


Start = Callable[..., Awaitable[Rig]]


@asynccontextmanager
async def starting() -> AsyncIterator[Start]:
    """Yields a function that starts one, with changed settings; stops all of them afterwards."""
    async with AsyncExitStack() as stack:

        async def starts(**changes: Any) -> Rig:
            llm = await stack.enter_async_context(LlmSimulator(key=KEY).serving())
            values: dict[str, Any] = {
                "listen": "127.0.0.1:0",
                "metrics_listen": "",
                "access_key": CALLER,
                "llm_url": llm.url,
                "llm_model": MODEL,
                "llm_key": KEY,
                "llm_retries": RETRIES,
                "input_price_micros": 150_000,
                "output_price_micros": 600_000,
                "drain_s": 0.0,
                **changes,
            }
            waits: list[float] = []

            async def sleep(seconds: float) -> None:
                waits.append(seconds)

            settings = Settings(**values)
            registry = CollectorRegistry()
            app = await stack.enter_async_context(open_app(settings, registry=registry, sleep=sleep))
            channel = await stack.enter_async_context(grpc.aio.insecure_channel(f"127.0.0.1:{app.server.port}"))
            stub = prompt_pb2_grpc.PromptWriterStub(channel)  # type: ignore[no-untyped-call, unused-ignore]
            return Rig(llm, stub, waits, registry)

        yield starts
