"""Triton's gRPC protocol as arrays in, arrays out, over the package's raw stubs.

Raw, because the ready-made asyncio client cannot ask for the empty final response, without which the end of a decoupled
request cannot be seen.
"""

import asyncio
import math
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Any

import grpc
import numpy as np
from numpy.typing import NDArray
from tritonclient.grpc import service_pb2, service_pb2_grpc
from tritonclient.utils import np_to_triton_dtype, triton_to_np_dtype

from services.certificates.certificate_files import CertificateFiles
from services.errors import Unavailable
from services.orchestrator.backends.stream_requests import Requests
from services.reasons import JobReason
from services.rpc.channel import open_channel
from services.rpc.client_metrics import ClientMetrics

Array = NDArray[Any]
Arrays = dict[str, Array]

CONNECT = [
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 2000),
]
BUSY = ("Exceeds maximum queue size", "Request timeout expired", "not ready", "unloaded", "unavailable", "no room")
"""Texts of Triton's errors after which another attempt may succeed."""
FORGOTTEN = ("must specify the START flag", "is unknown: it was never started")
"""Texts of errors of Triton or our decoder about a clip that was idle for too long. Another attempt starts it again."""
DEAD = ("Stub process", "is not healthy", "unhealthy")
"""Texts of Triton's errors about a model whose process has died. It serves again after a restart of the server."""
NO_MEMORY = ("OUT_OF_MEMORY", "out of memory", "Failed to allocate memory")
"""Texts of memory errors of our own models, CUDA and ONNX Runtime, with any status code."""
ANSWERS = (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN)
"""Codes with which a model, and not the way to it, has failed."""
INVALID = "INVALID: "
"""Our transformer's messages about what it can never make. Streams carry only texts: if they are made to end with the
code of an error (`triton_grpc_error`), Triton crashes once in a hundred or so."""
BROKEN = "Internal error from Core"
"""The text of grpc.aio, as INTERNAL, for a write to a stream that the other side has ended."""
ANSWER_S = 60.0
"""Longest wait for one answer of a model that has little to do."""
ENCODE_S = 600.0
"""The same of an encoder: umT5-XXL takes 90 s on a CPU, and others may be before us. Only what hangs meets it."""
PROBE_AFTER_S = 10.0
"""Seconds of silence before the model's process is probed, and between two probes."""
PROBE_S = 5.0
"""Longest wait for a probe. Triton reports an ended process within 1 s; a busy one may not answer."""
CONFIG_S = 2.0
"""Longest wait for a model's configuration."""
LOAD_S = 300.0
"""Longest wait for a model to be loaded on demand."""


class EngineRefused(Exception):
    """A model answered with an error; str() is its text."""

    def __init__(self, text: str, *, invalid: bool = False) -> None:
        """`invalid`: this request can never be served."""
        self.invalid = invalid
        super().__init__(text)


class EngineOutOfMemory(EngineRefused):
    """A model had no memory for it; str() is its text."""


class ModelDied(Unavailable):
    """The process of a model has ended; the server itself answers."""

    def __init__(self) -> None:
        super().__init__("A model of the local engine has died.", reason=JobReason.ENGINE_UNREACHABLE)


def request(model: str, inputs: Mapping[str, Array], **parameters: bool | int) -> Any:
    """Returns an inference request; parameters as Triton names them (`sequence_id`, `sequence_start`, …)."""
    message = service_pb2.ModelInferRequest(model_name=model)
    for name, array in inputs.items():
        message.inputs.add(name=name, datatype=np_to_triton_dtype(array.dtype), shape=array.shape)
        message.raw_input_contents.append(_raw(array))
    for name, value in parameters.items():
        if isinstance(value, bool):
            message.parameters[name].bool_param = value
        else:
            message.parameters[name].int64_param = value
    return message


def _raw(array: Array) -> bytes:
    if array.dtype == np.object_:  # strings: four bytes of length before each
        return b"".join(len(each).to_bytes(4, "little") + each for each in array.ravel())
    return np.ascontiguousarray(array).tobytes()


def _arrays(response: Any) -> Arrays:
    found: Arrays = {}
    for output, raw in zip(response.outputs, response.raw_output_contents, strict=True):
        if output.datatype == "BYTES":  # one string: four bytes of length before it
            found[output.name] = np.array([raw[4:]], dtype=np.object_)
        else:
            kind: Any = triton_to_np_dtype(output.datatype)
            found[output.name] = np.frombuffer(raw, kind).reshape(tuple(output.shape))
    return found


def _refused(text: str, *, invalid: bool = False) -> Exception:
    if _says(text, NO_MEMORY):
        return EngineOutOfMemory(text)
    if _says(text, DEAD):
        return ModelDied()
    if _says(text, BUSY + FORGOTTEN):
        return Unavailable("The local engine is busy or still loading.", reason=JobReason.ENGINE_BUSY)
    return EngineRefused(text.removeprefix(INVALID), invalid=invalid or text.startswith(INVALID))


def _says(text: str, words: Sequence[str]) -> bool:
    return any(word in text for word in words)


def _unreachable(error: grpc.aio.AioRpcError) -> Exception:
    code, text = error.code(), error.details() or ""
    if (code in ANSWERS and text != BROKEN) or _says(text, BUSY + FORGOTTEN + DEAD + NO_MEMORY):
        return _refused(text, invalid=code is grpc.StatusCode.INVALID_ARGUMENT)
    return Unavailable(
        "The local engine cannot be reached.", reason=JobReason.ENGINE_UNREACHABLE, metadata={"code": code.name}
    )


def _named(address: str, target: str, *, tls: bool) -> list[tuple[str, Any]]:
    if target in ("", address):
        return []
    name = [("grpc.ssl_target_name_override", target.rpartition(":")[0])] if tls else []
    return [("grpc.default_authority", target), *name]


async def _next(answers: AsyncIterator[Any]) -> Any:
    return await anext(answers, None)


class TritonClient:
    """One Triton server."""

    def __init__(
        self,
        address: str,
        *,
        probe_after_s: float = PROBE_AFTER_S,
        tls: CertificateFiles | None = None,
        calls: ClientMetrics | None = None,
        target: str = "",
    ) -> None:
        """`probe_after_s` is how long a stream is silent before its model is probed. Without `tls`: plaintext.

        `target` is the `name:port` that the address was found by, if any: certificates and meshes know the name.
        """
        self._probe_after_s = probe_after_s
        options = [*CONNECT, *_named(address, target, tls=tls is not None)]
        self._channel = open_channel(address, options, tls=tls, metrics=calls)
        self._stub: Any = service_pb2_grpc.GRPCInferenceServiceStub(self._channel)
        self._borrowers: Counter[str] = Counter()
        self._loading = asyncio.Lock()

    async def infer(self, model: str, inputs: Mapping[str, Array], *, within_s: float = ANSWER_S) -> Arrays:
        """Returns a model's outputs. Raises Unavailable, EngineRefused."""
        try:
            return _arrays(await self._stub.ModelInfer(request(model, inputs), timeout=within_s))
        except grpc.aio.AioRpcError as error:
            raise _unreachable(error) from error

    async def stream(
        self,
        requests: Requests,
        *,
        single: bool = False,
        stall_s: float = math.inf,
        probe: Callable[[], Any] | None = None,
    ) -> AsyncGenerator[tuple[Arrays, bool], None]:
        """Yields (outputs, whether they are the last of their request) for requests sent on one stream, in order.

        Closing the generator cancels the stream, and Triton reports that to its models. `requests` must stay
        open until every answer has come: Triton ends a stream whose requests have ended. A `single` one has any
        number of answers; elsewhere each request has one.

        A model whose process dies leaves its streams silent. So while an answer is due, `probe` makes a request by
        which to probe the model while the stream is silent (see `probe_model`), and silence for `stall_s` is the end.

        Raises: Unavailable, EngineRefused.
        """
        call = self._stub.ModelStreamInfer(requests.__aiter__())
        answers, answered, reading = aiter(call), 0, None
        clock = asyncio.get_running_loop().time
        since = clock()
        try:
            while True:
                reading = reading or asyncio.ensure_future(_next(answers))
                if not (await asyncio.wait({reading}, timeout=min(self._probe_after_s, stall_s)))[0]:
                    if not single and answered >= requests.sent:
                        since = clock()
                    elif clock() - since >= stall_s:
                        raise Unavailable("The local engine does not answer.", reason=JobReason.ENGINE_UNREACHABLE)
                    elif probe is not None:
                        await self.probe_model(probe())
                    continue
                answer, reading = reading.result(), None
                if answer is None:
                    return
                answered, since = answered + 1, clock()
                if answer.error_message:
                    raise _refused(answer.error_message)
                response = answer.infer_response
                yield _arrays(response), response.parameters["triton_final_response"].bool_param
        except grpc.aio.AioRpcError as error:
            raise _unreachable(error) from error
        finally:
            call.cancel()
            requests.close()
            if reading is not None:
                reading.cancel()
                await asyncio.wait({reading})

    async def probe_model(self, probe: Any) -> None:
        """Sends a model a request that it refuses, to check that its process runs. A missing answer proves nothing.

        ModelReady does not show it: Triton reports a model as ready even if its process has ended.

        Raises Unavailable when it has ended, or the server is unreachable.
        """
        requests_of_probe = Requests()
        requests_of_probe.send(probe)
        try:
            async with asyncio.timeout(PROBE_S), aclosing(self.stream(requests_of_probe)) as answers:
                await anext(answers, None)
        except Unavailable as error:
            if error.reason != JobReason.ENGINE_BUSY:
                raise
        except (EngineRefused, TimeoutError):
            return

    @asynccontextmanager
    async def borrowed(self, model: str) -> AsyncGenerator[None, None]:
        """Has a model loaded while anybody here needs it, and unloaded afterwards.

        Another worker of the same server may unload it meanwhile: its use then ends as Unavailable, and may be tried
        again. Raises Unavailable, EngineRefused.
        """
        self._borrowers[model] += 1  # before the load, which may be cancelled when the server has it half done
        try:
            async with self._loading:
                try:
                    await self._control(self._stub.RepositoryModelLoad, service_pb2.RepositoryModelLoadRequest, model)
                except EngineOutOfMemory as full:
                    message = f"The local engine has no memory for {model} just now."
                    raise Unavailable(message, reason=JobReason.ENGINE_BUSY) from full
            yield
        finally:
            self._borrowers[model] -= 1
            async with self._loading:
                if not self._borrowers[model]:
                    with suppress(Unavailable, EngineRefused):  # it stays loaded: that costs memory, not the answer
                        await self._control(
                            self._stub.RepositoryModelUnload, service_pb2.RepositoryModelUnloadRequest, model
                        )

    async def _control(self, call: Any, kind: Any, model: str) -> None:
        try:
            await call(kind(model_name=model), timeout=LOAD_S)
        except grpc.aio.AioRpcError as error:
            raise _unreachable(error) from error

    async def ready(self, model: str) -> bool:
        """Whether a model takes requests. Raises Unavailable when the server does not answer."""
        try:
            answer = await self._stub.ModelReady(service_pb2.ModelReadyRequest(name=model), timeout=5)
        except grpc.aio.AioRpcError as error:
            raise Unavailable("The local engine cannot be reached.", reason=JobReason.ENGINE_UNREACHABLE) from error
        return bool(answer.ready)

    async def parameter(self, model: str, name: str) -> str:
        """Returns a parameter of a model's configuration; empty if there is none, or the server does not say so."""
        try:
            answer = await self._stub.ModelConfig(service_pb2.ModelConfigRequest(name=model), timeout=CONFIG_S)
        except grpc.aio.AioRpcError:
            return ""
        return str(answer.config.parameters[name].string_value)

    async def close(self) -> None:
        """Gives back the connection."""
        await self._channel.close()
