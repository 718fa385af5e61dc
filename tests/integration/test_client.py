"""The client against a scripted server that breaks off, refuses and comes back; then the command line as a process."""

import asyncio
import hashlib
import io
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from i2v.v1 import (
    asset_pb2,
    asset_pb2_grpc,
    catalog_pb2,
    catalog_pb2_grpc,
    job_pb2,
    job_pb2_grpc,
    usage_pb2,
    usage_pb2_grpc,
)
from prometheus_client import CollectorRegistry

from services.client import errors, show
from services.client.client import Client, job_spec
from services.client.errors import I2VError, InvalidRequest, NotFound, QuotaExceeded, Unauthenticated, Unreachable
from services.errors import (
    InvalidSpec,
    Unavailable,
    Violation,
)
from services.errors import NotFound as NoSuchThing
from services.errors import QuotaExceeded as TooMuch
from services.errors import Unauthenticated as NoKey
from services.rpc.server import RpcServer, serve
from services.rpc.status import Failure

Job = job_pb2.Job
Response = job_pb2.WatchJobResponse
Context = grpc.aio.ServicerContext[Any, Any]

KEY = "good-key"
VIDEO = b"\0\0\0\x18ftypisom" + bytes(range(256)) * 400
PICTURE = b"\x89PNG\r\n\x1a\n" + b"a picture"


def asset_name(data: bytes) -> str:
    return f"assets/{hashlib.sha256(data).hexdigest()}"


def usd(micros: int) -> job_pb2.Money:
    return job_pb2.Money(amount_micros=micros, currency_code="USD")


OUTPUT = job_pb2.VideoOutput(
    asset=asset_name(VIDEO),
    size=job_pb2.Size(width=224, height=128),
    frames=81,
    fps=16,
    duration=Duration(seconds=5, nanos=62_500_000),
    size_bytes=len(VIDEO),
)
THE_EVENTS = [
    job_pb2.JobEvent(sequence=1, admitted=job_pb2.Admitted(quote=usd(5000))),
    job_pb2.JobEvent(sequence=2, started=job_pb2.Started(attempt=1)),
    job_pb2.JobEvent(sequence=3, progressed=job_pb2.Progressed(stage="encode-inputs", progress=0.1)),
    job_pb2.JobEvent(sequence=4, fragment_ready=job_pb2.FragmentReady(index=0, frames=9, progress=0.5)),
    job_pb2.JobEvent(sequence=5, progressed=job_pb2.Progressed(stage="finish", progress=0.9)),
    job_pb2.JobEvent(sequence=6, succeeded=job_pb2.Succeeded(output=OUTPUT, charged=usd(5000))),
]


@dataclass
class Script(
    job_pb2_grpc.JobServiceServicer,
    asset_pb2_grpc.AssetServiceServicer,
    catalog_pb2_grpc.CatalogServiceServicer,
    usage_pb2_grpc.UsageServiceServicer,
):
    """One job, and one failure before each answer as long as there are some. Everything asked is kept."""

    events: list[job_pb2.JobEvent] = field(default_factory=lambda: list(THE_EVENTS))
    fail_submit: list[Exception] = field(default_factory=list)
    break_watch_after: list[int] = field(default_factory=list)
    end_watch_early: bool = False
    cut_download_at: list[int] = field(default_factory=list)
    stubborn: bool = False
    """A cancelled job goes on all the same."""
    endless: bool = False
    """The job goes on until it is cancelled."""
    asked: list[Any] = field(default_factory=list)
    uploads: list[bytes] = field(default_factory=list)
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)
    job: Job = field(
        default_factory=lambda: Job(
            name="jobs/7", state=Job.SUCCEEDED, quote=usd(5000), charged=usd(5000), output=OUTPUT, last_sequence=6
        )
    )

    def asked_for(self, kind: type) -> list[Any]:
        return [each for each in self.asked if isinstance(each, kind)]

    async def SubmitJob(self, request: job_pb2.SubmitJobRequest, context: Context) -> Job:
        self.asked.append(request)
        if self.fail_submit:
            raise self.fail_submit.pop(0)
        return Job(name="jobs/7", state=Job.QUEUED, quote=usd(5000), spec=request.spec)

    async def GetJob(self, request: job_pb2.GetJobRequest, context: Context) -> Job:
        self.asked.append(request)
        if request.name != "jobs/7":
            raise NoSuchThing("job", request.name)
        return self.job

    async def ListJobs(self, request: job_pb2.ListJobsRequest, context: Context) -> job_pb2.ListJobsResponse:
        self.asked.append(request)
        page = int(request.page_token or 0)
        jobs = [Job(name=f"jobs/{n}", state=Job.QUEUED) for n in range(page * 2, page * 2 + 2)]
        return job_pb2.ListJobsResponse(jobs=jobs, next_page_token=str(page + 1) if page < 2 else "")

    async def WatchJob(self, request: job_pb2.WatchJobRequest, context: Context) -> AsyncIterator[Response]:
        self.asked.append(request)
        for event in self.events:
            if event.sequence <= request.after_sequence:
                continue
            if self.break_watch_after and event.sequence > self.break_watch_after[0]:
                del self.break_watch_after[0]
                if self.end_watch_early:
                    return
                raise Unavailable("Going down.", retry_after_s=0.01)
            if self.endless and event.sequence == 5:
                await self.cancelled.wait()
                break
            yield Response(heartbeat=job_pb2.Heartbeat())
            yield Response(event=event)
        if self.endless:
            self.job = Job(name="jobs/7", state=Job.CANCELLED, charged=usd(1500), last_sequence=6)
            yield Response(event=job_pb2.JobEvent(sequence=5, cancel_requested=job_pb2.CancelRequested()))
            yield Response(event=job_pb2.JobEvent(sequence=6, cancelled=job_pb2.Cancelled(charged=usd(1500))))

    async def CancelJob(self, request: job_pb2.CancelJobRequest, context: Context) -> Job:
        self.asked.append(request)
        if not self.stubborn:
            self.cancelled.set()
        return Job(name="jobs/7", state=Job.CANCELLING)

    async def PreviewJob(self, request: job_pb2.PreviewJobRequest, context: Context) -> job_pb2.PreviewJobResponse:
        self.asked.append(request)
        if request.spec.duration.seconds > 5:
            broken = Violation("spec.duration", "is 60 s; the model makes 1 to 5 s", "DURATION_NOT_OFFERED")
            raise InvalidSpec([broken])
        return job_pb2.PreviewJobResponse(spec=request.spec, quote=usd(5000), budget_left=usd(95_000), frames=81)

    async def WriteAsset(
        self, requests: AsyncIterator[asset_pb2.WriteAssetRequest], context: Context
    ) -> asset_pb2.Asset:
        parts = [each async for each in requests]
        self.asked.append(parts[0].header)
        data = b"".join(each.data for each in parts[1:])
        self.uploads.append(data)
        return asset_pb2.Asset(name=asset_name(data), media_type=parts[0].header.media_type, size_bytes=len(data))

    async def GetAsset(self, request: asset_pb2.GetAssetRequest, context: Context) -> asset_pb2.Asset:
        return asset_pb2.Asset(name=request.name)

    async def ReadAsset(
        self, request: asset_pb2.ReadAssetRequest, context: Context
    ) -> AsyncIterator[asset_pb2.ReadAssetResponse]:
        self.asked.append(request)
        for at in range(request.offset, len(VIDEO), 10_000):
            if self.cut_download_at and at >= self.cut_download_at[0]:
                del self.cut_download_at[0]
                raise Unavailable(retry_after_s=0.01)
            yield asset_pb2.ReadAssetResponse(data=VIDEO[at : at + 10_000])

    async def ListModels(
        self, request: catalog_pb2.ListModelsRequest, context: Context
    ) -> catalog_pb2.ListModelsResponse:
        nano = catalog_pb2.Model(
            name="models/nano",
            display_name="Nano",
            operations=[catalog_pb2.Model.IMAGE_TO_VIDEO],
            sizes=[OUTPUT.size],
            durations=[Duration(seconds=5)],
            fps=16,
            price_per_second=usd(1000),
        )
        return catalog_pb2.ListModelsResponse(models=[nano])

    async def GetModel(self, request: catalog_pb2.GetModelRequest, context: Context) -> catalog_pb2.Model:
        return catalog_pb2.Model(name=request.name)

    async def GetUsage(self, request: usage_pb2.GetUsageRequest, context: Context) -> usage_pb2.Usage:
        account = usage_pb2.Account(budget=usd(100_000), reserved=usd(0), spent=usd(5000), active_jobs_limit=4)
        return usage_pb2.Usage(plan="free", period="2026-11", tenant=account, user=account)


async def verify(token: str) -> str:
    if token != KEY:
        raise NoKey(reason="API_KEY_UNKNOWN")
    return "acme"


async def serving(script: Script, address: str = "127.0.0.1:0") -> RpcServer:
    registrations = [
        lambda server: job_pb2_grpc.add_JobServiceServicer_to_server(script, server),
        lambda server: asset_pb2_grpc.add_AssetServiceServicer_to_server(script, server),
        lambda server: catalog_pb2_grpc.add_CatalogServiceServicer_to_server(script, server),
        lambda server: usage_pb2_grpc.add_UsageServiceServicer_to_server(script, server),
    ]
    watch = "/i2v.v1.JobService/WatchJob"
    return await serve(
        address, registrations, services=[], registry=CollectorRegistry(), verify=verify, endless=[watch]
    )


@dataclass
class Rig:
    script: Script
    server: RpcServer
    client: Client

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server.port}"


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    async with AsyncExitStack() as stack:
        script = Script()
        server = await serving(script)
        stack.push_async_callback(server.drain, 0)
        client = await stack.enter_async_context(Client(f"127.0.0.1:{server.port}", KEY, "ann", patience_s=5))
        yield Rig(script, server, client)


async def test_a_picture_becomes_a_video_in_a_few_lines(rig: Rig, tmp_path: Path) -> None:
    (tmp_path / "cat.png").write_bytes(PICTURE)
    client = rig.client
    picture = await client.upload(tmp_path / "cat.png")
    job = await client.submit(job_spec("The cat turns its head.", image=picture.name))
    seen = [event async for event in client.watch(job.name)]
    job = await client.get(job.name)
    await client.download(job.output.asset, tmp_path / "cat.mp4")
    assert seen == THE_EVENTS
    assert (tmp_path / "cat.mp4").read_bytes() == VIDEO
    assert rig.script.uploads == [PICTURE]


async def test_generate_does_all_of_it_in_one_call(rig: Rig, tmp_path: Path) -> None:
    seen: list[job_pb2.JobEvent] = []
    job = await rig.client.generate(PICTURE, "It moves.", seed=7, out=tmp_path / "a.mp4", on_event=seen.append)
    assert job.state == Job.SUCCEEDED
    assert seen == THE_EVENTS
    assert (tmp_path / "a.mp4").read_bytes() == VIDEO
    [submitted] = rig.script.asked_for(job_pb2.SubmitJobRequest)
    assert submitted.spec.image_to_video.image == asset_name(PICTURE)
    assert (submitted.spec.model, submitted.spec.seed) == ("nano", 7)


async def test_a_submission_that_was_not_answered_is_repeated_with_the_same_request_id(rig: Rig) -> None:
    rig.script.fail_submit = [Unavailable(retry_after_s=0.01), Unavailable(retry_after_s=0.01)]
    assert (await rig.client.submit(job_spec("A wave."))).name == "jobs/7"
    ids = [each.request_id for each in rig.script.asked_for(job_pb2.SubmitJobRequest)]
    assert len(ids) == 3
    assert len(set(ids)) == 1


async def test_the_server_is_not_asked_again_before_it_wants_to_be(rig: Rig) -> None:
    rig.script.fail_submit = [Unavailable(retry_after_s=0.5)]
    loop = asyncio.get_running_loop()
    began = loop.time()
    await rig.client.submit(job_spec("A wave."))
    assert loop.time() - began > 0.5


async def test_what_would_take_longer_than_patience_fails_at_once(rig: Rig) -> None:
    rig.script.fail_submit = [Unavailable(retry_after_s=60)]
    with pytest.raises(Unreachable) as caught:
        await rig.client.submit(job_spec("A wave."))
    assert caught.value.retry_after_s == 60
    assert len(rig.script.asked_for(job_pb2.SubmitJobRequest)) == 1


async def test_a_broken_watch_goes_on_where_it_stopped(rig: Rig) -> None:
    rig.script.break_watch_after = [2, 3, 5]
    assert [event async for event in rig.client.watch("jobs/7")] == THE_EVENTS
    assert [each.after_sequence for each in rig.script.asked_for(job_pb2.WatchJobRequest)] == [0, 2, 3, 5]


async def test_a_watch_that_ends_politely_but_too_early_goes_on_too(rig: Rig) -> None:
    rig.script.break_watch_after, rig.script.end_watch_early = [4], True
    assert [event async for event in rig.client.watch("jobs/7")] == THE_EVENTS


async def test_watching_what_has_ended_and_was_seen_brings_nothing(rig: Rig) -> None:
    assert [event async for event in rig.client.watch("jobs/7", after=6)] == []


async def test_a_watch_outlives_its_server(rig: Rig) -> None:
    rig.script.endless = True
    events = rig.client.watch("jobs/7")
    seen = [(await anext(events)).sequence for _ in range(4)]
    address = rig.address
    await rig.server.drain(0)
    next_one = asyncio.ensure_future(anext(events))
    rig.script.endless = False
    second = await serving(rig.script, address)
    try:
        seen += [(await next_one).sequence] + [event.sequence async for event in events]
    finally:
        await second.drain(0)
    assert seen == [1, 2, 3, 4, 5, 6]


async def test_a_reader_that_leaves_ends_the_stream(rig: Rig) -> None:
    rig.script.endless = True
    events = rig.client.watch("jobs/7")
    assert (await anext(events)).sequence == 1
    await events.aclose()  # type: ignore[attr-defined]
    await asyncio.wait_for(rig.server.drain(5), 2)


async def test_a_download_goes_on_from_the_byte_where_it_was_cut(rig: Rig, tmp_path: Path) -> None:
    rig.script.cut_download_at = [20_000, 70_000]
    assert await rig.client.download(OUTPUT.asset, tmp_path / "a.mp4") == len(VIDEO)
    assert (tmp_path / "a.mp4").read_bytes() == VIDEO
    assert [each.offset for each in rig.script.asked_for(asset_pb2.ReadAssetRequest)] == [0, 20_000, 70_000]
    assert os.listdir(tmp_path) == ["a.mp4"]


async def test_a_damaged_download_leaves_no_file(rig: Rig, tmp_path: Path) -> None:
    with pytest.raises(I2VError) as caught:
        await rig.client.download(asset_name(b"something else"), tmp_path / "a.mp4")
    assert caught.value.reason == "CHECKSUM_WRONG"
    assert os.listdir(tmp_path) == []


async def test_a_download_may_go_into_memory(rig: Rig) -> None:
    memory = io.BytesIO()
    await rig.client.download(OUTPUT.asset, memory)
    assert memory.getvalue() == VIDEO


async def test_a_large_upload_comes_in_pieces_with_its_checksum(rig: Rig) -> None:
    data = PICTURE + bytes(1_000_000)
    await rig.client.upload(data)
    [header] = rig.script.asked_for(asset_pb2.WriteAssetHeader)
    assert (header.media_type, header.size_bytes) == ("image/png", len(data))
    assert header.sha256 == hashlib.sha256(data).hexdigest()
    assert rig.script.uploads == [data]


async def test_what_is_no_picture_is_not_sent(rig: Rig) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await rig.client.upload(b"GIF89a")
    assert caught.value.violations[0].reason == "MEDIA_TYPE_UNKNOWN"
    assert rig.script.asked == []


async def test_a_key_or_a_user_that_cannot_be_sent_is_refused_at_once() -> None:
    for key, user in (("", "ann"), ("a\nb", "ann"), (KEY, ""), (KEY, "ö"), (KEY, "x" * 129)):
        with pytest.raises(ValueError, match="printable ASCII"):
            Client("127.0.0.1:1", key, user)


async def test_every_page_of_jobs_comes(rig: Rig) -> None:
    assert [job.name async for job in rig.client.jobs(page_size=2)] == [f"jobs/{n}" for n in range(6)]


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        (InvalidSpec([Violation("spec.size", "is odd")]), InvalidRequest),
        (TooMuch("Spent.", subject="user:ann", limit=1, used=1, asked=1), QuotaExceeded),
        (NoSuchThing("asset", "assets/0"), NotFound),
        (NoKey(), Unauthenticated),
        (RuntimeError("no"), I2VError),
    ],
)
async def test_each_refusal_is_an_error_of_its_kind(rig: Rig, failure: Exception, kind: type[I2VError]) -> None:
    rig.script.fail_submit = [failure]
    with pytest.raises(I2VError) as caught:
        await rig.client.submit(job_spec("A wave."))
    assert type(caught.value) is kind
    assert caught.value.code in [code for code, of in errors.KINDS.items() if of is kind] or kind is I2VError
    assert caught.value.reason
    assert caught.value.message


@dataclass
class Ended:
    """What a run of the command left."""

    code: int
    out: str
    err: str


class Command:
    """The `i2v` command as a process of its own."""

    def __init__(self, address: str, folder: Path) -> None:
        self.address = address
        self.folder = folder

    async def start(self, *arguments: str, key: str | None = KEY) -> asyncio.subprocess.Process:
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path), "I2V_SERVER": self.address}
        if key is not None:
            environment["I2V_KEY"] = key
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "services.client.cli", *arguments),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=self.folder,
            env=environment,
        )

    async def __call__(self, *arguments: str, key: str | None = KEY) -> Ended:
        return await self.end(await self.start(*arguments, key=key))

    async def end(self, process: asyncio.subprocess.Process) -> Ended:
        out, err = await process.communicate()
        assert b"Traceback" not in err, err.decode()
        return Ended(process.returncode or 0, out.decode(), err.decode())


@pytest.fixture
def i2v(rig: Rig, tmp_path: Path) -> Command:
    (tmp_path / "cat.png").write_bytes(PICTURE)
    return Command(rig.address, tmp_path)


GENERATE = ("generate", "--image", "cat.png", "--prompt", "It moves.")


async def test_the_command_makes_a_video_and_says_what_it_is_and_cost(rig: Rig, i2v: Command) -> None:
    asked = ("--model", "nano", "--duration", "5", "--size", "224x128", "--seed", "7", "--fit", "pad")
    ended = await i2v(*GENERATE, *asked, "--out", "out.mp4")
    assert ended.out.splitlines() == [
        "video  out.mp4",
        "size   224x128, 81 frames, 5.06 s",
        "cost   0.005000 USD",
        "job    jobs/7",
    ]
    assert "fragment 0 arrived, 9 frames, 50%" in ended.err
    assert "\x1b" not in ended.err + ended.out
    assert ended.code == 0
    assert (i2v.folder / "out.mp4").read_bytes() == VIDEO
    [submitted] = rig.script.asked_for(job_pb2.SubmitJobRequest)
    expected = job_spec(
        "It moves.",
        image=asset_name(PICTURE),
        duration_s=5,
        size=(224, 128),
        seed=7,
        fit=job_pb2.ImageToVideo.PAD,
    )
    assert submitted.spec == expected


async def test_a_capability_and_its_highest_price_may_stand_for_the_model(rig: Rig, i2v: Command) -> None:
    await i2v(*GENERATE, "--capability", "wan-2.5", "--price-max", "0.50", "--detach")
    [submitted] = rig.script.asked_for(job_pb2.SubmitJobRequest)
    assert (submitted.spec.model, submitted.spec.capability) == ("", "wan-2.5")
    assert submitted.spec.price_max == job_pb2.Money(amount_micros=500_000, currency_code="USD")


@pytest.mark.parametrize("price", ["-1", "NaN", "1e30", "cheap"])
async def test_a_highest_price_that_is_none_is_refused_before_anything_is_sent(
    rig: Rig, i2v: Command, price: str
) -> None:
    ended = await i2v(*GENERATE, "--capability", "wan-2.5", "--price-max", price)
    assert (ended.code, "--price-max" in ended.err) == (2, True)
    assert rig.script.asked_for(job_pb2.SubmitJobRequest) == []


async def test_a_text_alone_makes_a_video_too(rig: Rig, i2v: Command) -> None:
    assert (await i2v("generate", "--prompt", "A wave.", "--detach")).out == "jobs/7\n"
    [submitted] = rig.script.asked_for(job_pb2.SubmitJobRequest)
    assert submitted.spec.text_to_video.prompt == "A wave."


async def test_a_program_gets_one_json_object_a_line(i2v: Command) -> None:
    lines = [json.loads(line) for line in (await i2v(*GENERATE, "--json")).out.splitlines()]
    assert [line.get("sequence") for line in lines] == ["1", "2", "3", "4", "5", "6", None]
    assert (lines[-1]["name"], lines[-1]["state"]) == ("jobs/7", "SUCCEEDED")
    refused = await i2v("job", "8", "--json")
    assert json.loads(refused.err)["error"]["reason"] == "NOT_FOUND"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("jobs", "--limit", "3"), ["jobs/0", "jobs/2", "QUEUED"]),
        (("job", "7"), ["SUCCEEDED", "0.005000 USD", OUTPUT.asset]),
        (("watch", "7"), ["charged  0.005000 USD"]),
        (("models",), ["nano", "image-to-video", "224x128", "5 s", "0.001000 USD"]),
        (("usage",), ["Plan free, period 2026-11", "0.100000 USD", "0 of 4"]),
        (("preview", "--image", "cat.png", "--prompt", "It moves."), ["0.005000 USD", "0.095000 USD", "81 frames"]),
        (("cancel", "7"), ["CANCELLING"]),
        (("upload", "cat.png"), [asset_name(PICTURE)]),
        (("download", OUTPUT.asset, "--out", "a.mp4"), [f"a.mp4: {len(VIDEO)} bytes"]),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
async def test_each_command_says_what_it_found(i2v: Command, arguments: tuple[str, ...], says: list[str]) -> None:
    ended = await i2v(*arguments)
    assert ended.code == 0, ended.err
    assert [text for text in says if text not in ended.out] == []


async def test_wrong_use_is_2(i2v: Command) -> None:
    assert (await i2v(*GENERATE, "--size", "big")).code == 2
    assert (await i2v(*GENERATE, "--out", "nowhere/a.mp4")).code == 2


@pytest.mark.parametrize("seconds", ["nan", "inf", "1e300", "0", "-1", "many"])
async def test_a_duration_that_is_none_is_refused_before_anything_is_sent(rig: Rig, i2v: Command, seconds: str) -> None:
    ended = await i2v(*GENERATE, "--duration", seconds)
    assert (ended.code, rig.script.asked) == (2, [])
    assert "--duration" in ended.err


async def test_a_text_that_is_not_utf8_is_refused_before_anything_is_sent(rig: Rig, i2v: Command) -> None:
    ended = await i2v("generate", "--image", "cat.png", "--prompt", os.fsdecode(b"It m\xf6ves."))
    assert (ended.code, rig.script.asked) == (2, [])
    assert "'--prompt': this is not UTF-8" in ended.err
    assert (await i2v("job", os.fsdecode(b"\xff"))).code == 2


async def test_the_picture_is_not_overwritten(rig: Rig, i2v: Command) -> None:
    (i2v.folder / "link.mp4").symlink_to("cat.png")
    for same in ("cat.png", "./cat.png", str(i2v.folder / "cat.png"), "link.mp4"):
        ended = await i2v(*GENERATE, "--out", same)
        assert (ended.code, rig.script.asked) == (2, [])
        assert "is the picture itself" in ended.err
    assert (i2v.folder / "cat.png").read_bytes() == PICTURE


async def test_another_file_is_overwritten(i2v: Command) -> None:
    (i2v.folder / "cat.mp4").write_bytes(b"the one before")
    assert (await i2v(*GENERATE)).code == 0
    assert (i2v.folder / "cat.mp4").read_bytes() == VIDEO


@pytest.mark.parametrize("out", ["/proc/a.mp4", "x" * 255, ""])  # where not even root makes a file
async def test_where_no_video_can_be_written_none_is_ordered(rig: Rig, i2v: Command, out: str) -> None:
    ended = await i2v(*GENERATE, "--out", out)
    assert (ended.code, rig.script.asked) == (2, [])
    assert "--out" in ended.err


async def test_a_bad_file_is_named_as_it_was_typed(i2v: Command) -> None:
    (i2v.folder / "bad.gif").write_bytes(b"GIF89a")
    uploaded, made = await asyncio.gather(
        i2v("upload", "bad.gif"), i2v("generate", "--image", "bad.gif", "--prompt", "It moves.")
    )
    assert (uploaded.code, made.code) == (3, 3)
    assert uploaded.err.startswith("bad.gif: is not a PNG")
    assert made.err.startswith("--image: is not a PNG")


async def test_a_file_without_authorities_is_wrong_use_and_speaks_of_tls(i2v: Command) -> None:
    (i2v.folder / "ca.pem").write_text("nobody")
    ended = await i2v("--ca-file", "ca.pem", "jobs")
    assert ended.code == 2
    assert "--ca-file: ca.pem holds no certificates in PEM; TLS needs" in ended.err


async def test_tls_to_a_server_that_speaks_none_is_said(rig: Rig, i2v: Command) -> None:
    ended = await i2v("--tls", "jobs")
    assert ended.code == 5
    assert ended.err.startswith(f"The server at {rig.address} cannot be reached: it does not speak TLS.\nTLS failed. ")
    assert "Is it running?" not in ended.err


async def test_a_key_is_no_argument(i2v: Command) -> None:
    assert (await i2v("--key", KEY, "jobs")).code == 2


async def test_a_job_that_goes_on_elsewhere_is_shown_to_go_on(rig: Rig, i2v: Command) -> None:
    lost = [*THE_EVENTS[:4], job_pb2.JobEvent(sequence=5, started=job_pb2.Started(attempt=2))]
    lost.append(job_pb2.JobEvent(sequence=6, continued=job_pb2.Continued(block=3, progress=0.5)))
    lost.append(job_pb2.JobEvent(sequence=7, succeeded=job_pb2.Succeeded(output=OUTPUT, charged=usd(5000))))
    rig.script.events = lost
    ended = await i2v("watch", "7")
    assert "attempt 2 begins\n" in ended.err
    assert "goes on from block 3, 50%\n" in ended.err


async def test_the_quality_that_was_chosen_is_asked_for(rig: Rig, i2v: Command) -> None:
    ended = await i2v("generate", "--prompt", "A wave.", "--quality", "fast", "--detach")
    assert ended.code == 0
    [submitted] = rig.script.asked_for(job_pb2.SubmitJobRequest)
    assert submitted.spec.quality == job_pb2.JobSpec.FAST


async def test_invalid_input_is_3_and_names_the_option_the_limit_and_the_way_out(i2v: Command) -> None:
    ended = await i2v("preview", "--prompt", "A wave.", "--duration", "60")
    assert (ended.code, ended.err) == (3, "--duration: is 60 s; the model makes 1 to 5 s\n")


async def test_a_reached_limit_is_3_and_says_when_to_come_back(rig: Rig, i2v: Command) -> None:
    in_a_day = datetime.now(UTC) + timedelta(days=1, seconds=30)
    spent = TooMuch("The budget is spent.", subject="user:ann", limit=1, used=1, asked=1, resets_at=in_a_day)
    rig.script.fail_submit = [spent]
    ended = await i2v(*GENERATE)
    assert ended.code == 3
    assert ended.err.startswith("The budget is spent.\nCome back in 1 d 0:00:")


async def test_a_job_that_fails_is_4_and_says_what_was_charged(rig: Rig, i2v: Command) -> None:
    error = job_pb2.JobError(reason="BACKEND_UNAVAILABLE", message="No worker answered.", retryable=True)
    rig.script.events[-1] = job_pb2.JobEvent(sequence=6, failed=job_pb2.Failed(error=error, charged=usd(0)))
    rig.script.job = Job(name="jobs/7", state=Job.FAILED, error=error, charged=usd(0), last_sequence=6)
    ended = await i2v(*GENERATE)
    assert (ended.code, ended.out) == (4, "")
    assert "jobs/7 failed: No worker answered. (BACKEND_UNAVAILABLE)\n0.000000 USD was charged." in ended.err
    assert not (i2v.folder / "cat.mp4").exists()


async def test_no_server_is_5(rig: Rig, i2v: Command) -> None:
    await rig.server.drain(0)
    ended = await i2v("jobs")
    assert ended.code == 5
    assert f"The server at {rig.address} cannot be reached: Connection refused." in ended.err


NO_NAME = "Domain name not found."


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("failed to connect; last error: UNKNOWN: ipv4:127.0.0.1:1: Connection refused", "Connection refused."),
        ("last error: UNKNOWN: SSL_ERROR_SSL: self signed certificate: OK", "self signed certificate."),
        ("errors resolving a: [field:hostname lookup error:lookup failed for a: Domain name not found]", NO_NAME),
        ("errors resolving tls: [field:hostname lookup error:lookup failed for tls: Domain name not found]", NO_NAME),
        ("errors resolving a: [field:hostname lookup error:a: Misformatted domain name]", "Misformatted domain name."),
    ],
)
def test_of_a_lost_connection_only_the_cause_is_shown(said: str, shown: str) -> None:
    error = Unreachable(Failure(grpc.StatusCode.UNAVAILABLE, said))
    cause, advice = show.error(error, "far:1").splitlines()
    assert cause == f"The server at far:1 cannot be reached: {shown}"
    assert ("TLS failed." in advice, "Is it running?" in advice) == ("SSL" in said, "SSL" not in said)


async def test_what_is_not_there_is_6_and_so_is_a_key_that_is_none(i2v: Command) -> None:
    missing, unknown, none, odd = await asyncio.gather(
        i2v("job", "jobs/8"), i2v("jobs", key="bad-key"), i2v("jobs", key=None), i2v("jobs", key="ключ")
    )
    assert (missing.code, unknown.code, none.code, odd.code) == (6, 6, 6, 6)
    assert "That cannot be a key" in odd.err
    assert "There is no job 'jobs/8'" in missing.err
    assert "I2V_KEY" in unknown.err
    assert "bad-key" not in unknown.err
    assert "There is no API key." in none.err


async def test_the_key_may_come_from_the_file_that_development_makes(i2v: Command) -> None:
    (i2v.folder / "var").mkdir()
    (i2v.folder / "var" / "dev-key").write_text(KEY + "\n")
    assert (await i2v("jobs", key=None)).code == 0


async def until(line: bytes, process: asyncio.subprocess.Process) -> None:
    assert process.stderr is not None
    async with asyncio.timeout(10):
        async for each in process.stderr:
            if line in each:
                return
    raise AssertionError(f"the command never said {line!r}")


async def test_a_restart_of_the_server_does_not_show(rig: Rig, i2v: Command) -> None:
    rig.script.endless = True
    process = await i2v.start("watch", "7")
    await until(b"fragment 0", process)
    await rig.server.drain(0)
    rig.script.endless = False
    second = await serving(rig.script, rig.address)
    ended = await i2v.end(process)
    await second.drain(0)
    assert [line.split("  ")[-1] for line in ended.err.splitlines()] == [
        "finish 90%",
        "succeeded, 0.005000 USD charged",
    ]
    assert ended.code == 0


async def test_ctrl_c_cancels_the_job_and_says_what_was_charged(rig: Rig, i2v: Command) -> None:
    rig.script.endless = True
    process = await i2v.start(*GENERATE)
    await until(b"fragment 0", process)
    process.send_signal(signal.SIGINT)
    ended = await i2v.end(process)
    assert "jobs/7 was cancelled. 0.001500 USD was charged." in ended.err
    assert ended.code == 130
    assert len(rig.script.asked_for(job_pb2.CancelJobRequest)) == 1


async def test_a_second_ctrl_c_leaves_at_once_and_says_that_the_job_goes_on(rig: Rig, i2v: Command) -> None:
    rig.script.endless = rig.script.stubborn = True
    process = await i2v.start(*GENERATE)
    await until(b"fragment 0", process)
    process.send_signal(signal.SIGINT)
    await until(b"Asking jobs/7 to stop", process)
    process.send_signal(signal.SIGINT)
    ended = await i2v.end(process)
    assert "jobs/7 goes on. `i2v watch jobs/7` shows it" in ended.err
    assert ended.code == 130


async def test_ctrl_c_while_watching_leaves_the_job_alone(rig: Rig, i2v: Command) -> None:
    rig.script.endless = True
    process = await i2v.start("watch", "7")
    await until(b"fragment 0", process)
    process.send_signal(signal.SIGINT)
    ended = await i2v.end(process)
    assert "jobs/7 goes on." in ended.err
    assert ended.code == 130
    assert rig.script.asked_for(job_pb2.CancelJobRequest) == []
