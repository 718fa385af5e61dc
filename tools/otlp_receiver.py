"""A small collector: takes spans by OTLP over gRPC, and remembers them. It can be slow, and can refuse."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status


@dataclass(frozen=True)
class Received:
    """A span, and the process that has sent it."""

    service: str
    trace_id: str
    span_id: str
    parent: str
    """Empty: it is the first of its trace."""
    links: tuple[str, ...]
    """Ids of spans."""
    name: str
    kind: str
    start_ns: int
    end_ns: int
    attributes: dict[str, Any]
    failed: bool
    events: tuple[str, ...]
    bytes: bytes
    """All that was sent of it."""


@dataclass
class OtlpReceiver(trace_service_pb2_grpc.TraceServiceServicer):
    """What has arrived."""

    address: str = ""
    spans: list[Received] = field(default_factory=list)
    calls: int = 0
    refuses: grpc.StatusCode | None = None
    open: asyncio.Event = field(default_factory=asyncio.Event)
    """While it is not set, no call is answered."""
    arrived: asyncio.Condition = field(default_factory=asyncio.Condition)

    def environment(self, **more: str) -> dict[str, str]:
        """Returns the variables of a process that sends its spans here."""
        return {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{self.address}"} | more

    async def Export(self, request: Any, context: Any) -> Any:
        """Takes spans."""
        self.calls += 1
        await self.open.wait()
        if self.refuses is not None:
            await context.abort(self.refuses, "not today")
        async with self.arrived:
            for group in request.resource_spans:
                service = _values(group.resource.attributes).get("service.name", "")
                self.spans += [_received(service, span) for scope in group.scope_spans for span in scope.spans]
            self.arrived.notify_all()
        return trace_service_pb2.ExportTraceServiceResponse()

    async def until(self, holds: Callable[[list[Received]], object]) -> None:
        """Waits until something holds of the spans."""
        async with asyncio.timeout(60), self.arrived:
            await self.arrived.wait_for(lambda: holds(self.spans))


@asynccontextmanager
async def receiving() -> AsyncIterator[OtlpReceiver]:
    """Runs a collector on a port of its own."""
    receiver, server = OtlpReceiver(), grpc.aio.server()
    receiver.open.set()
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(receiver, server)  # type: ignore[no-untyped-call]
    receiver.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    try:
        yield receiver
    finally:
        receiver.open.set()
        await server.stop(0)


def _values(attributes: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value") or "string_value") for each in attributes}


def _received(service: str, span: Any) -> Received:
    return Received(
        service,
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        tuple(link.span_id.hex() for link in span.links),
        span.name,
        Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
        span.start_time_unix_nano,
        span.end_time_unix_nano,
        _values(span.attributes),
        span.status.code == Status.STATUS_CODE_ERROR,
        tuple(event.name for event in span.events),
        span.SerializeToString(),
    )
