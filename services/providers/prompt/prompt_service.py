"""`i2v.provider.v1.PromptWriter`: from proto to a scene and back, no decisions."""

import hashlib
from typing import Any

from i2v.provider.v1 import prompt_pb2, prompt_pb2_grpc

from services.providers.prompt.instructions import Form
from services.providers.prompt.prompt_cache import PromptCache
from services.providers.prompt.scene import Kind, Scene
from services.providers.prompt.writer import Writer, Written

KINDS = {
    prompt_pb2.WritePromptRequest.ANIMATION: Kind.ANIMATION,
    prompt_pb2.WritePromptRequest.TALKING: Kind.TALKING,
}
SOURCES = {
    Form.JSON: prompt_pb2.WritePromptResponse.JSON,
    Form.TEXT: prompt_pb2.WritePromptResponse.TEXT,
    None: prompt_pb2.WritePromptResponse.TEMPLATE,
}


class PromptService(prompt_pb2_grpc.PromptWriterServicer):
    """Writes prompts, each once a name."""

    def __init__(self, writer: Writer, memory: PromptCache) -> None:
        self._writer = writer
        self._memory = memory

    async def WritePrompt(self, request: prompt_pb2.WritePromptRequest, context: Any) -> prompt_pb2.WritePromptResponse:
        """Returns the prompt of a scene."""
        scene = _from_pb(request)
        if not request.request_id:
            return _to_pb(await self._writer.write(scene))
        # Of the whole request: a name that is used again for another scene gets a prompt of its own.
        name = hashlib.sha256(request.SerializeToString(deterministic=True)).digest()
        return _to_pb(await self._memory.once(name, lambda: self._writer.write(scene)))


def _from_pb(request: prompt_pb2.WritePromptRequest) -> Scene:
    return Scene(
        kind=KINDS.get(request.kind),
        scene=request.scene,
        story=request.story,
        details=dict(request.details),
        max_characters=request.max_characters,
    )


def _to_pb(written: Written) -> prompt_pb2.WritePromptResponse:
    return prompt_pb2.WritePromptResponse(
        prompt=written.prompt,
        negative_prompt=written.negative_prompt,
        source=SOURCES[written.form],
        llm=written.llm,
        input_tokens=written.bill.counted.read,
        output_tokens=written.bill.counted.written,
        cost_micros=written.bill.cost_micros,
        currency_code=written.bill.price.currency_code,
        warning=written.warning,
    )
