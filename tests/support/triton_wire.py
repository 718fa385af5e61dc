"""Tensors on Triton's wire, for tests: requests from arrays, arrays from responses, streams of a decoupled model."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.request import urlopen

import grpc
import numpy as np
from tritonclient.grpc import service_pb2, service_pb2_grpc
from tritonclient.utils import np_to_triton_dtype, triton_to_np_dtype

Arrays = dict[str, np.ndarray]

OPTIONS = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]


class Refused(Exception):
    """The model answered a streamed request with an error; str() is its text."""


@asynccontextmanager
async def connect(address: str) -> AsyncIterator[Any]:
    async with grpc.aio.insecure_channel(address, options=OPTIONS) as channel:
        yield service_pb2_grpc.GRPCInferenceServiceStub(channel)


def message(model: str, inputs: Mapping[str, np.ndarray], **parameters: bool | int) -> service_pb2.ModelInferRequest:
    """An inference request; parameters as Triton names them (sequence_id, sequence_start, ...)."""
    request = service_pb2.ModelInferRequest(model_name=model)
    for name, array in inputs.items():
        request.inputs.add(name=name, datatype=np_to_triton_dtype(array.dtype), shape=array.shape)
        request.raw_input_contents.append(raw(array))
    for name, value in parameters.items():
        if isinstance(value, bool):
            request.parameters[name].bool_param = value
        else:
            request.parameters[name].int64_param = value
    return request


def raw(array: np.ndarray) -> bytes:
    """An array's bytes; strings each with their length before them."""
    if array.dtype == np.object_:
        return b"".join(len(each).to_bytes(4, "little") + each for each in array.ravel())
    return np.ascontiguousarray(array).tobytes()


def arrays(response: service_pb2.ModelInferResponse) -> Arrays:
    """The outputs by name; one of type BYTES as its single string."""
    return arrays_of(response.outputs, response.raw_output_contents)


def arrays_of(tensors: Any, contents: Any) -> Arrays:
    """The tensors of a request or a response by name."""
    found: Arrays = {}
    for tensor, raw in zip(tensors, contents, strict=True):
        if tensor.datatype == "BYTES":
            found[tensor.name] = np.array(raw[4:])
        else:
            found[tensor.name] = np.frombuffer(raw, triton_to_np_dtype(tensor.datatype)).reshape(tuple(tensor.shape))
    return found


async def infer(stub: Any, model: str, inputs: Mapping[str, np.ndarray], **parameters: bool | int) -> Arrays:
    return arrays(await stub.ModelInfer(message(model, inputs, **parameters), timeout=60))


class Stream:
    """One decoupled request: iterate over its responses; `finals` counts the FINAL flags that came."""

    def __init__(
        self,
        stub: Any,
        model: str,
        inputs: Mapping[str, np.ndarray],
        *,
        timeout_s: float = 60,
    ) -> None:
        request = message(model, inputs, triton_enable_empty_final_response=True)
        self.finals = 0
        self._written = asyncio.Event()

        async def requests() -> AsyncIterator[service_pb2.ModelInferRequest]:
            yield request
            await self._written.wait()  # Triton ends a stream whose requests have ended

        self.call = stub.ModelStreamInfer(requests(), timeout=timeout_s)

    async def __aiter__(self) -> AsyncIterator[Arrays]:
        """Yields the tensors of each response.

        Raises:
            Refused: the model answered with an error.
        """
        async for answer in self.call:
            final = answer.infer_response.parameters["triton_final_response"].bool_param
            self.finals += final
            if answer.error_message:
                self._written.set()
                raise Refused(answer.error_message)
            if answer.infer_response.outputs:
                yield arrays(answer.infer_response)
            if final:
                self._written.set()


def metrics(address: str) -> dict[str, float]:
    """Every sample on the metrics page by its name and labels; ours also by the name alone, summed over the labels."""
    with urlopen(f"http://{address}/metrics", timeout=10) as page:
        found = dict(samples(page.read().decode()))
    for name, value in list(found.items()):
        if name.startswith("i2v_") and "{" in name:
            bare = name.split("{")[0]
            found[bare] = found.get(bare, 0) + value
    return found


def samples(text: str) -> Iterator[tuple[str, float]]:
    for line in text.splitlines():
        if not line.startswith("#"):
            name, _, value = line.rpartition(" ")
            yield name, float(value)
