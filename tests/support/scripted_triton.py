"""A Triton in this process that a test controls: real gRPC, the real protocol, arithmetic in place of models."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import numpy as np
from tritonclient.grpc import service_pb2, service_pb2_grpc
from tritonclient.utils import np_to_triton_dtype

from tests.support.triton_wire import Arrays, arrays_of

CHANNELS = 4
BROKEN = ("Socket closed", "Internal error from Core")
"""An error of the connection, which ends a stream; an error of a model is a message of the stream."""

PROFILE: dict[str, Any] = {
    "name": "tiny",
    "digest": "d1",
    "spatial_factor": 8,
    "temporal_factor": 4,
    "size_multiple": 16,
    "block_latents": 2,
    "max_latents": 21,
    "image_encoder": True,
}


@dataclass
class ScriptedTriton(service_pb2_grpc.GRPCInferenceServiceServicer):
    """Serves one profile. A block's latents follow from the seed, the frame and the block before."""

    profile: dict[str, Any] = field(default_factory=lambda: dict(PROFILE))
    fail: dict[str, tuple[grpc.StatusCode, str]] = field(default_factory=dict)
    """Models that answer with an error."""
    fail_after: int = 0
    """The transformer fails only once it has made so many blocks."""
    progress_messages: int = 0
    """Progress messages that a bidirectional transformer sends before its block."""
    silent: set[str] = field(default_factory=set)
    """Models that never answer, from the request after `fail_after` blocks on for the transformer."""
    dead: bool = False
    """Whether a probe of those gets Triton's answer for a process that has died."""
    load_fails: tuple[grpc.StatusCode, str] | None = None
    load_hangs: bool = False
    slots: str | None = None
    """What the configuration of the transformer says; None: the server does not say it."""
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    """While it is not set, the transformer makes no block."""
    videos: int = 0
    """That the transformer makes now."""
    videos_most: int = 0
    """That it made at a time."""
    asked: list[tuple[str, Arrays]] = field(default_factory=list)
    not_ready: set[str] = field(default_factory=set)
    loaded: list[str] = field(default_factory=list)
    probes: list[str] = field(default_factory=list)
    """Models that were probed."""
    _clips: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.gate.set()

    def of(self, model: str) -> list[Arrays]:
        """The inputs that a model was given, request by request."""
        return [inputs for name, inputs in self.asked if name == model]

    async def ModelReady(self, request: Any, context: Any) -> Any:
        return service_pb2.ModelReadyResponse(ready=request.name not in self.not_ready)

    async def ModelConfig(self, request: Any, context: Any) -> Any:
        if self.slots is None:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "This protocol is restricted")
        answer = service_pb2.ModelConfigResponse()
        answer.config.parameters["slots"].string_value = self.slots
        return answer

    async def RepositoryModelLoad(self, request: Any, context: Any) -> Any:
        self.loaded.append(f"+{request.model_name}")
        if self.load_fails:
            await context.abort(*self.load_fails)
        if self.load_hangs:
            await asyncio.Event().wait()
        return service_pb2.RepositoryModelLoadResponse()

    async def RepositoryModelUnload(self, request: Any, context: Any) -> Any:
        self.loaded.append(f"-{request.model_name}")
        return service_pb2.RepositoryModelUnloadResponse()

    async def ModelInfer(self, request: Any, context: Any) -> Any:
        if request.model_name in self.silent:
            await asyncio.Event().wait()
        inputs = arrays_of(request.inputs, request.raw_input_contents)
        self.asked.append((request.model_name, inputs))
        await self._fail(request.model_name, context)
        return response(self._encoded(request.model_name, inputs))

    async def ModelStreamInfer(self, requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
        async for request in requests:
            inputs = arrays_of(request.inputs, request.raw_input_contents)
            if _is_pulse(inputs):
                self.probes.append(request.model_name)
                died = request.model_name in self.silent and self.dead
                yield refusal(f"Stub process '{request.model_name}' is not healthy." if died else "INVALID: nothing")
                continue
            self.asked.append((request.model_name, inputs))
            if request.model_name in self.silent and not (request.model_name == "transformer" and self.fail_after):
                await asyncio.Event().wait()
            if request.model_name == "transformer":
                async with aclosing(self._video(inputs, context)) as blocks:
                    async for outputs in blocks:
                        if outputs is None:
                            yield refusal(self.fail["transformer"][1])
                            return
                        yield service_pb2.ModelStreamInferResponse(infer_response=response(outputs))
                last = response({})
                last.parameters["triton_final_response"].bool_param = True
                yield service_pb2.ModelStreamInferResponse(infer_response=last)
            else:
                if request.model_name in self.fail:
                    yield refusal(self.fail[request.model_name][1])
                    continue
                outputs = self._decoded(request.parameters, inputs["latents"])
                yield service_pb2.ModelStreamInferResponse(infer_response=response(outputs))

    async def _fail(self, model: str, context: Any) -> None:
        if model in self.fail:
            await context.abort(*self.fail[model])

    def _encoded(self, model: str, inputs: Arrays) -> Arrays:
        if model == "profile":
            profile_json = np.array([json.dumps(self.profile).encode()], np.object_)
            return {"echo": 2 * inputs["probe"], "profile": profile_json}
        if model == "tokenizer":
            return {"input_ids": np.full((1, 4), len(inputs["prompt"].item()), np.int64)}
        if model == "text_encoder":
            return {"embeddings": inputs["input_ids"][..., None].astype(np.float32)}
        if model == "image_encoder":
            return {"tokens": np.ones((1, 2, 2), np.float32)}
        frames = inputs["latent_frames"].item() if "latent_frames" in inputs else 1
        height, width = (side // 8 for side in inputs["pixels"].shape[-2:])
        return {"latent": np.full((1, CHANNELS, frames, height, width), inputs["pixels"].mean(), np.float32)}

    async def _video(self, inputs: Arrays, context: Any) -> AsyncGenerator[Arrays | None, None]:
        self.videos += 1
        self.videos_most = max(self.videos_most, self.videos)
        try:
            async for outputs in self._blocks(inputs, context):
                yield outputs
        finally:
            self.videos -= 1

    async def _blocks(self, inputs: Arrays, context: Any) -> AsyncIterator[Arrays | None]:
        """Yields None where it fails."""
        height, width = inputs["latent_size"].tolist()
        total, seed = inputs["latent_frames"].item(), inputs["seed"].item()
        empty = np.zeros((1, CHANNELS, 0, height, width), np.float32)
        made = inputs.get("history", empty)
        bidirectional = self.profile.get("pipeline") == "bidirectional"
        first = 1 if "image_latent" in inputs and not bidirectional else 0
        alone = not bidirectional and not first and self.profile.get("independent_first_frame", True)
        at, before, count = first + made.shape[2], made.sum(), 0
        for sign in range(self.progress_messages):
            yield {
                "latents": empty,
                "forwards": np.array([sign + 1], np.int32),
                "total": np.array([self.progress_messages], np.int32),
            }
        while at < total:
            if count == self.fail_after:
                if "transformer" in self.silent:
                    await asyncio.Event().wait()
                if "transformer" in self.fail:
                    if self.fail["transformer"][1] in BROKEN:
                        await self._fail("transformer", context)
                    yield None
            await self.gate.wait()
            length = total if bidirectional else 1 if alone and at == 0 else self.profile["block_latents"]
            values = np.arange(at, at + length, dtype=np.float32)[:, None, None] / total + seed % 7 + before / 1e6
            block = np.broadcast_to(values, (1, CHANNELS, length, height, width)).astype(np.float32)
            yield {"latents": block, "start": np.array([at], np.int32), "forwards": np.array([count], np.int32)}
            at, before, count = at + length, before + block.sum(), count + 1
            await asyncio.sleep(0)

    def _decoded(self, parameters: Any, latents: np.ndarray) -> Arrays:
        clip, count = parameters["sequence_id"].int64_param, latents.shape[2]
        if parameters["sequence_start"].bool_param:
            self._clips[clip] = 0
        seen = self._clips[clip]
        self._clips[clip] += count
        if parameters["sequence_end"].bool_param:
            del self._clips[clip]
        if not count:
            return {"frames": np.zeros((0, 8 * latents.shape[3], 8 * latents.shape[4], 3), np.uint8)}
        shades = [latents[0, 0, each, 0, 0] for each in range(count) for _ in range(1 if seen + each == 0 else 4)]
        frames = np.array(shades)[:, None, None, None] * np.ones((8 * latents.shape[3], 8 * latents.shape[4], 3))
        return {"frames": (frames * 30 % 256).astype(np.uint8)}


def _is_pulse(inputs: Arrays) -> bool:
    return inputs["latents"].shape[1] == 1 if "latents" in inputs else not inputs["latent_frames"].item()


def refusal(text: str) -> service_pb2.ModelStreamInferResponse:
    return service_pb2.ModelStreamInferResponse(error_message=text)


def response(outputs: Arrays) -> service_pb2.ModelInferResponse:
    answer = service_pb2.ModelInferResponse()
    for name, array in outputs.items():
        if array.dtype == np.object_:
            raw = b"".join(len(each).to_bytes(4, "little") + each for each in array)
            answer.outputs.add(name=name, datatype="BYTES", shape=array.shape)
        else:
            raw = np.ascontiguousarray(array).tobytes()
            answer.outputs.add(name=name, datatype=np_to_triton_dtype(array.dtype), shape=array.shape)
        answer.raw_output_contents.append(raw)
    return answer


@asynccontextmanager
async def serving(triton: ScriptedTriton, address: str = "127.0.0.1:0") -> AsyncIterator[str]:
    """Yields the address; with port 0 a free one is chosen."""
    server = grpc.aio.server()
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(triton, server)
    port = server.add_insecure_port(address)
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)
