"""Calls: the RPCs of the bindings, with the credential of whoever calls."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

import grpc
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from i2v.v1 import catalog_pb2, catalog_pb2_grpc

from services.rpc.status_codes import Failure, from_call
from services.studio import api_call
from services.studio.api_error import ApiError
from services.studio.caller import Caller
from services.studio.resources.binding import Binding


class Calls:
    """The calls of one channel. Each raises ApiError."""

    def __init__(self, channel: grpc.aio.Channel, bindings: Sequence[Binding], timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._methods: Mapping[str, Any] = {each.rpc: _method(channel, each) for each in bindings}
        self._catalog: Any = catalog_pb2_grpc.CatalogServiceStub(channel)

    async def check(self, caller: Caller) -> None:
        """Returns if the credential is one: the cheapest call that any may make."""
        request = catalog_pb2.ListModelsRequest(page_size=1)
        await api_call.answer(self._catalog.ListModels, request, caller.metadata, self._timeout_s)

    async def answer(self, binding: Binding, caller: Caller, request: Message) -> Message:
        """Returns the response of an RPC. One that may be repeated is asked once more when its answer is lost."""
        try:
            return await self._once(binding, caller, request)
        except ApiError as error:
            if not (binding.method == "GET" or binding.key) or not _lost(error.failure):
                raise
            return await self._once(binding, caller, request)

    async def answers(self, binding: Binding, caller: Caller, request: Message) -> AsyncGenerator[Message, None]:
        """Yields the responses of a stream."""
        call = self._methods[binding.rpc](request, metadata=caller.metadata)
        try:
            async for response in call:
                yield response
        except grpc.aio.AioRpcError as error:
            raise ApiError(from_call(error)) from error
        finally:
            call.cancel()

    async def _once(self, binding: Binding, caller: Caller, request: Message) -> Message:
        method, timeout_s = self._methods[binding.rpc], binding.seconds or self._timeout_s
        given: Any = iter([request]) if binding.descriptor.client_streaming else request
        response: Message = await api_call.answer(method, given, caller.metadata, timeout_s)
        return response


def _lost(failure: Failure) -> bool:
    return failure.code is grpc.StatusCode.UNAVAILABLE and not failure.reason


def _method(channel: grpc.aio.Channel, binding: Binding) -> Any:
    descriptor = binding.descriptor
    kinds: Mapping[tuple[bool, bool], Any] = {
        (False, False): channel.unary_unary,
        (False, True): channel.unary_stream,
        (True, False): channel.stream_unary,
    }
    return kinds[descriptor.client_streaming, descriptor.server_streaming](
        f"/{descriptor.containing_service.full_name}/{descriptor.name}",
        request_serializer=GetMessageClass(binding.request).SerializeToString,
        response_deserializer=GetMessageClass(binding.response).FromString,
    )
