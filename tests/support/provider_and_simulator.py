"""A vendor's process and its simulator in this process, on real sockets, used only through the generated stub."""

import asyncio
import hashlib
import io
import math
import os
import struct
import sys
import wave
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import grpc
import pytest
from i2v.provider.v1 import provider_pb2 as pb
from i2v.provider.v1 import provider_pb2_grpc
from PIL import Image
from prometheus_client import CollectorRegistry

from services.providers.app import App, open_app
from services.providers.settings import Settings
from services.rpc.status_codes import from_call
from tools.simulators.fal import FalSimulator
from tools.simulators.scenario import Scenario
from tools.simulators.simulator import Simulator
from tools.simulators.wavespeed import WaveSpeedSimulator
from tools.stack_process import free_port

ROOT = Path(__file__).resolve().parents[2]
SIMULATORS: dict[str, type[Simulator]] = {"wavespeed": WaveSpeedSimulator, "fal": FalSimulator}
ACCESS = "orchestrators-key"
METADATA = (("authorization", f"Bearer {ACCESS}"),)


def picture(width: int = 64, height: int = 48, colour: str = "teal", kind: str = "PNG") -> bytes:
    made = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(made, kind)
    return made.getvalue()


def sound(seconds: float, rate: int = 8000) -> bytes:
    made = io.BytesIO()
    with wave.open(made, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        samples = (int(9000 * math.sin(index / 5)) for index in range(round(seconds * rate)))
        file.writeframes(b"".join(struct.pack("<h", sample) for sample in samples))
    return made.getvalue()


PICTURE = picture()
IMAGE = (pb.Input.IMAGE, "image/png", PICTURE)

Given = tuple[int, str, bytes]


def a_task(submission_id: str = "submission-1", **fields: Any) -> pb.Task:
    """A task for the one model that both vendors have."""
    given: dict[str, Any] = {"model": "wan-2.5", "prompt": "it moves", "duration_s": 5, "resolution": "480p"}
    given |= fields
    return pb.Task(submission_id=submission_id, **{key: value for key, value in given.items() if value is not None})


KLING = {"model": "kling-2.5-turbo-std", "resolution": None}
KANDINSKY = {"model": "kandinsky-5-pro", "resolution": "512p"}
TALK = {"model": "infinitetalk", "duration_s": None}
"""The changes that make `a_task` one for another model."""


def header(task: pb.Task, inputs: Sequence[Given]) -> pb.Task:
    """The task, with its inputs announced."""
    for role, media_type, data in inputs:
        digest = hashlib.sha256(data).hexdigest()
        task.inputs.add(role=role, media_type=media_type, size_bytes=len(data), sha256=digest)
    return task


async def messages(task: pb.Task, inputs: Sequence[Given], chunk: int = 50_000) -> AsyncIterator[pb.GenerateRequest]:
    yield pb.GenerateRequest(task=header(task, inputs))
    for _, _, data in inputs:
        for first in range(0, len(data), chunk):
            yield pb.GenerateRequest(chunk=pb.InputChunk(data=data[first : first + chunk]))


@dataclass(frozen=True)
class VendorStream:
    """The events of a stream, by kind."""

    events: list[pb.TaskEvent]

    @property
    def ref(self) -> str:
        return self.events[0].accepted.external_ref

    @property
    def kinds(self) -> list[str]:
        """Without repeats."""
        found: list[str] = []
        for event in self.events:
            kind = str(event.WhichOneof("event"))
            if found[-1:] != [kind]:
                found.append(kind)
        return found

    @property
    def video(self) -> bytes:
        return b"".join(event.output.data for event in self.events)

    @property
    def done(self) -> pb.Done:
        assert self.events[-1].WhichOneof("event") == "done", self.events[-1]
        return self.events[-1].done

    @property
    def failed(self) -> pb.Failed:
        assert self.events[-1].WhichOneof("event") == "failed", self.events[-1].WhichOneof("event")
        return self.events[-1].failed

    @property
    def end(self) -> tuple[str, str]:
        """Reason and charge."""
        return self.failed.reason, pb.Failed.Charge.Name(self.failed.charge)

    @property
    def stages(self) -> list[str]:
        return list(dict.fromkeys(each.progress.stage for each in self.events if each.HasField("progress")))


@dataclass(frozen=True)
class Provided:
    """What a test needs."""

    vendor: str
    app: App
    simulator: Simulator
    channel: grpc.aio.Channel
    registry: CollectorRegistry
    data: Path

    @property
    def stub(self) -> Any:
        return provider_pb2_grpc.ProviderServiceStub(self.channel)

    def play(self, **scenario: Any) -> None:
        """Sets what the vendor does from now on."""
        self.simulator.scenario = Scenario(**scenario)

    def start(self, task: pb.Task | None = None, inputs: Sequence[Given] = (IMAGE,)) -> Any:
        """Begins Generate and returns the call."""
        return self.stub.Generate(messages(task or a_task(), inputs), metadata=METADATA, timeout=60)

    async def generate(self, task: pb.Task | None = None, inputs: Sequence[Given] = (IMAGE,)) -> VendorStream:
        """Generates to the end."""
        return VendorStream([event async for event in self.start(task, inputs)])

    def attaching(self, ref: str, model: str = "wan-2.5") -> Any:
        request = pb.AttachRequest(external_ref=ref, model=model)
        return self.stub.Attach(request, metadata=METADATA, timeout=60)

    async def attach(self, ref: str, model: str = "wan-2.5") -> VendorStream:
        """Attaches to the end."""
        return VendorStream([event async for event in self.attaching(ref, model)])

    async def cancel(self, ref: str, model: str = "wan-2.5") -> str:
        answer = await self.stub.Cancel(pb.CancelRequest(external_ref=ref, model=model), metadata=METADATA)
        return pb.CancelResponse.Outcome.Name(answer.outcome)

    async def find(self, submission_id: str, when: float, model: str = "wan-2.5") -> pb.FindResponse:
        request = pb.FindRequest(submission_id=submission_id, model=model)
        request.submit_time.FromMilliseconds(round(when * 1000))
        return await self.stub.Find(request, metadata=METADATA)

    async def capabilities(self) -> pb.Capabilities:
        return await self.stub.GetCapabilities(pb.GetCapabilitiesRequest(), metadata=METADATA)

    def metric(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(name, {"vendor": self.vendor, **labels}) or 0.0


async def until(call: Any, kind: str, stage: str = "") -> pb.TaskEvent:
    """Reads a call until an event of a kind, of a stage, has come."""
    while (event := await call.read()) is not grpc.aio.EOF:
        if event.WhichOneof("event") == kind and stage in ("", event.progress.stage):
            return event
    raise AssertionError(f"the stream ended without {kind}")


async def refusal(call: Any) -> tuple[grpc.StatusCode, str, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    failure = from_call(caught.value)
    return failure.code, failure.reason, failure.violations[0].field if failure.violations else ""


def length_s(video: bytes) -> float:
    with av.open(io.BytesIO(video)) as container:
        stream = container.streams.video[0]
        assert stream.duration is not None and stream.time_base is not None
        return float(stream.duration * stream.time_base)


@asynccontextmanager
async def provided(
    vendor: str,
    data: Path,
    *,
    change: Callable[[dict[str, Any], Simulator], None] = lambda values, simulator: None,
    **options: Any,
) -> AsyncIterator[Provided]:
    """Starts both. `change` may alter the settings; `options` are those of `open_app`, such as a clock."""
    async with SIMULATORS[vendor](fps=4).running() as simulator:
        values: dict[str, Any] = {
            "listen": "127.0.0.1:0",
            "metrics_listen": "127.0.0.1:0",
            "key": simulator.key,
            "access_key": ACCESS,
            "url": simulator.url,
            "upload_url": simulator.url,
            "simulation": True,
            "output_hosts": f"127.0.0.1:{simulator.port}",
            "data": data,
            "connect_s": 2.0,
            "submit_s": 3.0,
            "look_s": 1.0,
            "look_every_s": 0.02,
            "longest_pause_s": 0.1,
            "stall_s": 10.0,
            "breaker_failures": 1000,
            "settle_s": 5.0,
        }
        change(values, simulator)
        registry = CollectorRegistry()
        async with (
            open_app(vendor, Settings(**values), registry=registry, **options) as app,
            grpc.aio.insecure_channel(f"127.0.0.1:{app.server.port}") as channel,
        ):
            yield Provided(vendor, app, simulator, channel, registry, data)


@asynccontextmanager
async def process(
    simulator: Simulator, data: Path, **changes: str
) -> AsyncIterator[tuple[asyncio.subprocess.Process, Any]]:
    """`python -m services.providers wavespeed`, and a stub for it."""
    port = free_port()
    (data / "key").write_text(simulator.key + "\n")
    variables = {
        "LISTEN": f"127.0.0.1:{port}",
        "METRICS_LISTEN": "127.0.0.1:0",
        "KEY_FILE": str(data / "key"),
        "URL": simulator.url,
        "SIMULATION": "true",
        "OUTPUT_HOSTS": f"127.0.0.1:{simulator.port}",
        "DATA": str(data / "spool"),
        **changes,
    }
    environment = {name: value for name, value in os.environ.items() if not name.startswith("I2V_")}
    environment |= {f"I2V_PROVIDER_WAVESPEED_{name}": value for name, value in variables.items()}
    environment["PYTHONPATH"] = f"{ROOT}:{ROOT / 'gen'}"
    program = (sys.executable, "-m", "services.providers", "wavespeed")
    with (data / "log").open("wb") as log:
        made = await asyncio.create_subprocess_exec(*program, env=environment, cwd=ROOT, stderr=log)
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            await asyncio.wait_for(channel.channel_ready(), 30)
            yield made, provider_pb2_grpc.ProviderServiceStub(channel)
    finally:
        if made.returncode is None:
            made.kill()
        await made.wait()


def generate(stub: Any, submission_id: str, data: bytes) -> Any:
    given = [(pb.Input.IMAGE, "image/png", data)]
    return stub.Generate(messages(a_task(submission_id), given))
