"""A server of all public and operators' methods, which answers each with an empty message."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import i2v.admin.v1 as admin
import i2v.v1 as public
from google.protobuf import descriptor_pool, message_factory


class AnyMethod(grpc.GenericRpcHandler):
    """Knows each method by its descriptor. A stream has one message."""

    def service(self, details: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler[Any, Any] | None":
        _, service, name = details.method.split("/")  # type: ignore[attr-defined]
        try:
            method = descriptor_pool.Default().FindServiceByName(service).methods_by_name[name]
        except KeyError:
            return None
        answer = message_factory.GetMessageClass(method.output_type)()
        for field in {"token", "secret"} & set(method.output_type.fields_by_name):
            setattr(answer, field, "a-secret")  # without one the client takes the answer for a repeat
        if name == "WatchJob":  # without an end the client would ask again
            answer.event.sequence = 1
            answer.event.failed.error.message = "It failed."
        sent = answer.SerializeToString()

        async def one(request: Any, context: Any) -> bytes:
            return sent

        async def stream(request: Any, context: Any) -> AsyncIterator[bytes]:
            yield sent

        if method.client_streaming:
            return grpc.stream_unary_rpc_method_handler(one)
        if method.server_streaming:
            return grpc.unary_stream_rpc_method_handler(stream)
        return grpc.unary_unary_rpc_method_handler(one)


@asynccontextmanager
async def any_method_server() -> AsyncIterator[str]:
    """Starts one and yields its address."""
    assert admin and public
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((AnyMethod(),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(0)
