"""`i2v admin backends`, `drain` and `undrain`: what each backend does, and its maintenance."""

from typing import Any

import click
from i2v.admin.v1 import backend_pb2, backend_pb2_grpc

from i2v_client import AsyncClient
from services.client import formatting
from services.client.admin.group import admin
from services.client.commands import command, named
from services.client.connection import Connection
from services.client.listing import show

HEAD = ("BACKEND", "STATE", "QUEUED", "RUNNING", "WAIT", "WORKERS", "DRAINED BY", "SINCE", "REASON")
BACKEND = click.argument("backend", callback=named("backends"))
WHY = click.option("--reason", default="", help="Why; it goes into the audit log.")


def _row(backend: backend_pb2.Backend) -> tuple[str, ...]:
    return (
        backend.name.removeprefix("backends/"),
        "drained" if backend.HasField("drain") else "in use",
        str(backend.queued_jobs),
        str(backend.running_jobs),
        formatting.seconds(backend.expected_wait) if backend.HasField("expected_wait") else "",
        ", ".join(map(_worker, backend.workers)) or "none",
        backend.drain.actor,
        formatting.moment(backend.drain.create_time),
        backend.drain.reason,
    )


def _worker(worker: backend_pb2.Backend.Worker) -> str:
    """Returns `worker-0 ready (2026-11-30 12:00:00Z)`: the time is that of its last heartbeat."""
    readiness = backend_pb2.Backend.Worker.Readiness.Name(worker.readiness).lower().replace("_", " ")
    obstacle = f" {worker.obstacle}" if worker.obstacle else ""
    return f"{worker.name} {readiness}{obstacle} ({formatting.moment(worker.beat_time)})"


def _change(connection: Connection, method: str, request: Any) -> None:
    async def work(client: AsyncClient) -> None:
        stub = backend_pb2_grpc.BackendServiceStub(client.channel())
        show(connection, [await client.call(getattr(stub, method), request)], HEAD, _row, "")

    connection.run(work)


@command("backends", admin)
def backends(connection: Connection) -> None:
    """Shows each backend: whether it is drained, its jobs, and its workers with their last heartbeats."""

    async def work(client: AsyncClient) -> None:
        stub: Any = backend_pb2_grpc.BackendServiceStub(client.channel())
        found = await client.call(stub.ListBackends, backend_pb2.ListBackendsRequest())
        show(connection, found.backends, HEAD, _row, "There are no backends.")

    connection.run(work)


@command("drain", admin)
@BACKEND
@WHY
def drain(connection: Connection, backend: str, reason: str) -> None:
    """Lets no worker begin a job of a backend. Running jobs end; waiting ones keep their places; new ones are refused.

    Holds in every process within 5 seconds, until undrain.
    """
    _change(connection, "DrainBackend", backend_pb2.DrainBackendRequest(name=backend, reason=reason))


@command("undrain", admin)
@BACKEND
@WHY
def undrain(connection: Connection, backend: str, reason: str) -> None:
    """Ends the drain of a backend: its jobs go on."""
    _change(connection, "UndrainBackend", backend_pb2.UndrainBackendRequest(name=backend, reason=reason))
