"""The real HTTP process before a real API, and a client of it."""

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, BinaryIO

import httpx
from google.protobuf.duration_pb2 import Duration
from i2v.v1 import asset_pb2

from services.orchestrator.ports.backend import Backend
from tests.support import pictures
from tests.support.builders import ScriptedBackend
from tests.support.forked_programs import ForkedProgram
from tests.support.served_orchestrator import Served, caller, served
from tools.stack_process import HOST, StackProcess, free_port

PICTURE = pictures.a_picture()


class HttpProcess(StackProcess):
    """One that is forked, and that nothing supervises."""

    def _begin(self, log: BinaryIO) -> ForkedProgram:
        streams: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log}
        return ForkedProgram(self._module, *self._arguments, env=self._environment, **streams)


class Rig:
    """An API, the HTTP process before it, and a client."""

    def __init__(
        self, i2v: Served, http: httpx.AsyncClient, address: str, process: StackProcess, metrics: str, user: str = "ann"
    ) -> None:
        self.i2v = i2v
        self.http = http
        self.address = address
        """URL of the HTTP process."""
        self.process = process
        self.log = process.log
        self.metrics = metrics
        self.user = user

    def of(self, user: str) -> "Rig":
        """Returns the same rig for another user."""
        return Rig(self.i2v, self.http, self.address, self.process, self.metrics, user)

    async def url(self, name: str, seconds: int = 60, **fields: Any) -> str:
        request = asset_pb2.SignUrlRequest(name=name, expire_in=Duration(seconds=seconds), **fields)
        return (await self.i2v.assets.SignUrl(request, metadata=caller(user=self.user))).url

    async def picture(self) -> tuple[asset_pb2.Asset, bytes]:
        asset = await self.i2v.upload(PICTURE, user=self.user)
        return asset, await self.i2v.download(asset.name, user=self.user)


@asynccontextmanager
async def before_an_api(
    database: str,
    tmp_path: Path,
    backend: ScriptedBackend | None = None,
    studio: Mapping[str, str] | None = None,
    vendors: Mapping[str, tuple[Backend, int]] | None = None,
    **settings: Any,
) -> AsyncIterator[Rig]:
    """`studio` are settings of the HTTP process, without the prefix; `settings` those of the API.

    `vendors` are backends in addition to `backend`.
    """
    port = free_port()

    def change(values: dict[str, Any]) -> None:
        values.update(settings, studio_url=f"http://{HOST}:{port}")

    backends: Mapping[str, tuple[Backend, int]] = {"test": (backend or ScriptedBackend(), 1), **(vendors or {})}
    async with (
        served(database, tmp_path, backends, change=change) as i2v,
        http_process(tmp_path, port, i2v.address, studio) as (process, metrics),
        httpx.AsyncClient(trust_env=False, timeout=30) as http,
    ):
        yield Rig(i2v, http, f"http://{HOST}:{port}", process, metrics)


@asynccontextmanager
async def http_process(
    tmp_path: Path, port: int, api: str, settings: Mapping[str, str] | None = None
) -> AsyncIterator[tuple[StackProcess, str]]:
    """Yields a running HTTP process and the URL of its metrics."""
    metrics_port = free_port()
    process = http_program(tmp_path, port, metrics_port, api, settings)
    await asyncio.to_thread(process.__enter__)
    try:
        yield process, f"http://{HOST}:{metrics_port}/metrics"
    finally:
        await asyncio.to_thread(process.__exit__)


def http_program(
    tmp_path: Path, port: int, metrics_port: int, api: str, settings: Mapping[str, str] | None = None
) -> StackProcess:
    """Returns the HTTP process; as a context manager it runs."""
    given = {
        "LISTEN": f"{HOST}:{port}",
        "METRICS_LISTEN": f"{HOST}:{metrics_port}",
        "API": api,
        "DRAIN_S": "1",
    } | dict(settings or {})
    return HttpProcess(
        "studio",
        "services.studio",
        log=tmp_path / "studio.log",
        ports={"HTTP": port, "metrics": metrics_port},
        environment=os.environ
        | {"PYTHONPATH": f"{Path.cwd()}:{Path.cwd() / 'gen'}"}
        | {f"I2V_STUDIO_{name}": value for name, value in given.items()},
        speaks_grpc=False,
    )
