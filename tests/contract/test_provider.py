"""What the provider itself keeps, whichever vendor is behind it: malformed calls, limits, going down, many at once."""

import asyncio
import json
import os
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio
from i2v.provider.v1 import provider_pb2 as pb
from i2v.provider.v1 import provider_pb2_grpc
from prometheus_client import CollectorRegistry

from services.providers.__main__ import main
from services.providers.app import _downloader
from services.providers.metrics import VendorMeter, VendorMetrics
from services.providers.settings import Settings
from services.providers.vendor import Failed
from services.providers.vendors import VENDORS
from services.providers.webhook import signature
from services.rpc.status import from_call
from tests.provided import (
    IMAGE,
    METADATA,
    Given,
    Provided,
    a_task,
    header,
    messages,
    picture,
    provided,
    sound,
    until,
)
from tests.simulators.scenario import Scenario
from tests.simulators.simulator import Simulator
from tests.simulators.wavespeed import SECRET, WaveSpeedSimulator

ROOT = Path(__file__).resolve().parents[2]

KLING = {"model": "kling-2.5-turbo-std", "resolution": None}
KANDINSKY = {"model": "kandinsky-5-pro", "resolution": "512p"}
TALK = {"model": "infinitetalk", "duration_s": None}


@pytest_asyncio.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Provided]:
    async with provided("wavespeed", tmp_path) as made:
        yield made


async def refusal(call: Any) -> tuple[grpc.StatusCode, str, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    failure = from_call(caught.value)
    return failure.code, failure.reason, failure.violations[0].field if failure.violations else ""


INVALID = (grpc.StatusCode.INVALID_ARGUMENT, "NOTHING_SUBMITTED")


# --- what each model is sent ----------------------------------------------------------------------------------------


async def test_wan_gets_its_parameters_and_data_uris(rig: Provided) -> None:
    task = a_task(seed=7, negative_prompt="rain", prompt_expansion=True, duration_s=10)
    told = await rig.generate(task, [IMAGE, (pb.Input.AUDIO, "audio/wav", sound(3))])
    assert told.done
    sent = rig.simulator.submitted[0]
    assert sent.pop("image").startswith("data:image/png;base64,")
    assert sent.pop("audio").startswith("data:audio/wav;base64,")
    assert sent == {
        "prompt": "it moves",
        "resolution": "480p",
        "duration": 10,
        "enable_prompt_expansion": True,
        "negative_prompt": "rain",
        "seed": 7,
    }


async def test_kling_gets_base64_alone(rig: Provided) -> None:
    task = a_task(**KLING, guidance_scale=0.25, negative_prompt="rain")
    assert (await rig.generate(task)).done
    sent = rig.simulator.submitted[0]
    assert not sent.pop("image").startswith("data:")
    assert sent == {"prompt": "it moves", "duration": 5, "guidance_scale": 0.25, "negative_prompt": "rain"}


@pytest.mark.parametrize("field", ["image", "image_url"])
async def test_kandinskys_picture_goes_where_the_settings_say(tmp_path: Path, field: str) -> None:
    def change(values: dict[str, Any], simulator: Any) -> None:
        values["kandinsky_image_field"] = field
        simulator.fields["wavespeed-ai/kandinsky5-pro/image-to-video"] = ({field, "prompt"}, {"resolution"})

    async with provided("wavespeed", tmp_path, change=change) as rig:
        assert (await rig.generate(a_task(**KANDINSKY))).done
        assert set(rig.simulator.submitted[0]) == {field, "prompt", "resolution"}


async def test_infinitetalk_speaks_for_as_long_as_the_sound(rig: Provided) -> None:
    mask = (pb.Input.MASK, "image/png", picture(colour="white"))
    told = await rig.generate(a_task(**TALK, prompt="", seed=1), [IMAGE, (pb.Input.AUDIO, "audio/wav", sound(2)), mask])
    assert told.done
    assert set(rig.simulator.submitted[0]) == {"image", "audio", "mask_image", "resolution", "seed"}


async def test_what_is_too_large_for_a_request_is_uploaded(tmp_path: Path) -> None:
    async with provided("wavespeed", tmp_path, change=lambda values, _: values.update(inline_bytes=1000)) as rig:
        big = sound(3)
        assert (await rig.generate(a_task(), [IMAGE, (pb.Input.AUDIO, "audio/wav", big)])).done
        sent = rig.simulator.submitted[0]
        assert sent["image"].startswith("data:")
        assert sent["audio"].startswith(rig.simulator.url)
        assert list(rig.simulator.uploads.values()) == [big]
        assert max(rig.simulator.lengths) < len(big)


async def test_fal_gets_its_own_names_and_the_sound_by_url(tmp_path: Path) -> None:
    async with provided("fal", tmp_path) as rig:
        task = a_task(seed=7, negative_prompt="rain")
        assert (await rig.generate(task, [IMAGE, (pb.Input.AUDIO, "audio/wav", sound(3))])).done
        sent = rig.simulator.submitted[0]
        assert sent.pop("image_url").startswith("data:image/png;base64,")
        assert sent.pop("audio_url").startswith(rig.simulator.url)
        assert sent == {
            "prompt": "it moves",
            "resolution": "480p",
            "duration": "5",
            "enable_prompt_expansion": False,
            "negative_prompt": "rain",
            "seed": 7,
        }


@pytest.mark.parametrize(
    ("status", "words", "end"),
    [
        (401, "bad key", ("BAD_KEY", "NOT_CHARGED")),
        (400, "insufficient credits", ("NO_CREDIT", "NOT_CHARGED")),
        (429, "too many requests", ("RATE_LIMITED", "NOT_CHARGED")),
        (400, "flagged as sensitive", ("MODERATION", "NOT_CHARGED")),
        (500, "oh", ("ANSWER_LOST", "UNKNOWN")),
    ],
)
async def test_wavespeeds_envelope_may_hold_the_refusal(
    rig: Provided, status: int, words: str, end: tuple[str, str]
) -> None:
    rig.play(submit="envelope", status=status, words=words)
    assert (await rig.generate()).end == end
    assert rig.simulator.paid == 1


# --- what is refused before anything is sent ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"model": "sora"}, "model"),
        ({"submission_id": ""}, "task.submission_id"),
        ({"submission_id": "x" * 129}, "task.submission_id"),
        ({"prompt": " "}, "task.prompt"),
        ({"prompt": "x" * 2001}, "task.prompt"),
        ({"prompt": "a\0b"}, "task.prompt"),
        ({"negative_prompt": "x" * 501}, "task.negative_prompt"),
        ({"duration_s": 6}, "task.duration_s"),
        ({"duration_s": None}, "task.duration_s"),
        ({"resolution": "4k"}, "task.resolution"),
        ({"resolution": None}, "task.resolution"),
        ({"seed": -1}, "task.seed"),
        ({"seed": 2**31}, "task.seed"),
        ({"guidance_scale": 0.5}, "task.guidance_scale"),
        ({**KLING, "seed": 1}, "task.seed"),
        ({**KLING, "resolution": "720p"}, "task.resolution"),
        ({**KLING, "guidance_scale": 1.001}, "task.guidance_scale"),
        ({**KLING, "guidance_scale": float("nan")}, "task.guidance_scale"),
        ({**KLING, "prompt_expansion": False}, "task.prompt_expansion"),
        ({**KANDINSKY, "negative_prompt": "rain"}, "task.negative_prompt"),
        ({**KANDINSKY, "resolution": "720p"}, "task.resolution"),
        ({**KANDINSKY, "duration_s": 10}, "task.duration_s"),
        ({**TALK, "duration_s": 5}, "task.duration_s"),
        ({**TALK}, "task.inputs"),
    ],
)
async def test_what_a_model_does_not_take_is_refused_and_not_dropped(
    rig: Provided, fields: dict[str, Any], field: str
) -> None:
    assert await refusal(rig.generate(a_task(**fields))) == (*INVALID, field)
    assert rig.simulator.counts.total() == 0
    assert list(rig.data.iterdir()) == []


@pytest.mark.parametrize(
    "inputs",
    [
        [],
        [IMAGE, IMAGE],
        [IMAGE, (pb.Input.MASK, "image/png", picture())],
        [(pb.Input.ROLE_UNSPECIFIED, "image/png", picture())],
        [(pb.Input.IMAGE, "image/gif", b"GIF89a")],
        [(pb.Input.IMAGE, "image/png", b"")],
        [(pb.Input.IMAGE, "image/png", picture(kind="JPEG"))],
        [(pb.Input.IMAGE, "image/png", b"\x89PNG\r\n\x1a\n" + bytes(10_000_000))],
        [IMAGE, (pb.Input.AUDIO, "audio/mpeg", sound(1))],
        [IMAGE, (pb.Input.AUDIO, "audio/wav", b"RIFF    WAVE" + bytes(15_000_000))],
    ],
    ids=["none", "twice", "mask", "role", "gif", "empty", "liar", "large", "liar-sound", "large-sound"],
)
async def test_inputs_that_are_not_what_they_should_be_are_refused(rig: Provided, inputs: list[Given]) -> None:
    assert (await refusal(rig.generate(a_task(), inputs)))[:2] == INVALID
    assert rig.simulator.counts.total() == 0
    assert list(rig.data.iterdir()) == []


async def test_everything_at_its_limit_is_taken(rig: Provided) -> None:
    data = b"\x89PNG\r\n\x1a\n" + bytes(10_000_000 - 8)
    rig.play(submit="refused", status=429)  # It is no picture to make a video of; that it gets there is enough.
    task = a_task(prompt="x" * 2000, negative_prompt="x" * 500, seed=2**31 - 1, submission_id="x" * 128)
    assert (await rig.generate(task, [(pb.Input.IMAGE, "image/png", data)])).failed.reason == "RATE_LIMITED"
    assert rig.simulator.counts["upload"] == 1
    assert rig.simulator.paid == 1


def a_header() -> pb.GenerateRequest:
    return pb.GenerateRequest(task=header(a_task(), [IMAGE]))


def a_chunk(data: bytes) -> pb.GenerateRequest:
    return pb.GenerateRequest(chunk=pb.InputChunk(data=data))


PICTURE = IMAGE[2]


@pytest.mark.parametrize(
    "stream",
    [
        [],
        [pb.GenerateRequest()],
        [a_chunk(PICTURE)],
        [a_header()],
        [a_header(), a_chunk(PICTURE[:-1])],
        [a_header(), a_chunk(PICTURE + b"x")],
        [a_header(), a_chunk(PICTURE), a_chunk(b"x")],
        [a_header(), a_chunk(PICTURE), a_header()],
        [a_header(), a_header()],
        [a_header(), a_chunk(b"")],
        [a_header(), a_chunk(PICTURE[:-1] + b"x")],
        [a_header(), a_chunk(bytes((1 << 20) + 1))],
    ],
    ids=range(12),
)
async def test_a_malformed_stream_submits_nothing(rig: Provided, stream: list[pb.GenerateRequest]) -> None:
    call = rig.stub.Generate(iter(stream), metadata=METADATA)
    assert (await refusal(call.read()))[:2] == INVALID
    assert rig.simulator.counts.total() == 0
    assert list(rig.data.iterdir()) == []


async def test_nothing_is_submitted_before_the_caller_has_said_everything(rig: Provided) -> None:
    call = rig.stub.Generate(metadata=METADATA)
    await call.write(a_header())
    await call.write(a_chunk(PICTURE))
    call.cancel()
    assert (await rig.capabilities()).vendor == "wavespeed"
    assert rig.simulator.counts.total() == 0


# --- who may call, and what is told ---------------------------------------------------------------------------------


async def test_only_the_orchestrator_may_call(rig: Provided) -> None:
    for metadata in ((), (("authorization", "Bearer guessed"),)):
        call = rig.stub.GetCapabilities(pb.GetCapabilitiesRequest(), metadata=metadata)
        assert (await refusal(call))[0] is grpc.StatusCode.UNAUTHENTICATED


async def test_a_simulation_says_so_and_only_when_it_is_told_to(tmp_path: Path) -> None:
    for simulation in (True, False):
        change = {"simulation": simulation}
        async with provided("wavespeed", tmp_path, change=lambda values, _, c=change: values.update(c)) as rig:
            told = await rig.capabilities()
            assert told.simulation is simulation
            assert set(told.models) == {"wan-2.5", "kandinsky-5-pro", "kling-2.5-turbo-std", "infinitetalk"}
            assert told.availability == pb.Capabilities.AVAILABLE


@pytest.mark.parametrize(("vendor", "host"), [("wavespeed", "api.wavespeed.ai"), ("fal", "queue.fal.run")])
async def test_with_a_key_alone_the_real_vendor_is_asked_and_no_simulator(
    vendor: str, host: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def resolve(name: str, *_: Any, **__: Any) -> Any:
        asked.append(name)
        raise socket.gaierror(socket.EAI_NONAME, "tests have no internet")

    def change(values: dict[str, Any], simulator: Simulator) -> None:
        for name in ("url", "upload_url", "output_hosts", "simulation"):
            del values[name]

    async with provided(vendor, tmp_path, change=change) as rig:
        monkeypatch.setattr(socket, "getaddrinfo", resolve)
        assert (await rig.generate()).end == ("VENDOR_DOWN", "NOT_CHARGED")
        assert asked == [host]
        told = await rig.capabilities()
        assert (told.simulation, told.availability) == (False, pb.Capabilities.AVAILABLE)
        meter = VendorMeter(VendorMetrics(CollectorRegistry()), vendor)
        downloader = _downloader(VENDORS[vendor], Settings(key="a-real-key"), meter)
        with pytest.raises(Failed) as failed:
            _ = [chunk async for chunk in downloader.start(f"{rig.simulator.url}/outputs/task-1.mp4").chunks()]
        await downloader.close()
        assert (failed.value.reason, rig.simulator.counts.total()) == ("OUTPUT_UNAVAILABLE", 0)


async def test_without_a_key_nothing_is_sent(tmp_path: Path) -> None:
    async with provided("wavespeed", tmp_path, change=lambda values, _: values.update(key="")) as rig:
        assert (await rig.capabilities()).availability == pb.Capabilities.NO_KEY
        assert (await rig.generate()).end == ("BAD_KEY", "NOT_CHARGED")
        assert rig.simulator.counts.total() == 0


async def test_an_account_in_trouble_is_shown_until_work_is_taken_again(rig: Provided) -> None:
    for submit, shown in (("no-credit", pb.Capabilities.NO_CREDIT), ("bad-key", pb.Capabilities.NO_KEY)):
        rig.play(submit=submit)
        await rig.generate()
        assert (await rig.capabilities()).availability == shown
    rig.play()
    assert (await rig.generate()).done
    assert (await rig.capabilities()).availability == pb.Capabilities.AVAILABLE


async def test_a_vendor_that_fails_again_and_again_is_left_alone_for_a_while(tmp_path: Path) -> None:
    now = [1_000_000.0]

    def change(values: dict[str, Any], simulator: Simulator) -> None:
        values |= {"breaker_failures": 3, "breaker_s": 30.0}

    async with provided("wavespeed", tmp_path, change=change, clock=lambda: now[0]) as rig:
        rig.play(submit="refused", status=503)
        for number in range(3):
            assert (await rig.generate(a_task(f"s-{number}"))).end == ("VENDOR_DOWN", "UNKNOWN")
        told = await rig.generate(a_task("s-3"))
        assert told.end == ("CIRCUIT_OPEN", "NOT_CHARGED")
        assert told.failed.retry_delay.seconds == 30
        assert rig.simulator.paid == 3
        shown = await rig.capabilities()
        assert (shown.availability, shown.retry_time.seconds) == (pb.Capabilities.BROKEN, 1_000_030)
        assert rig.metric("i2v_vendor_breaker_open") == 1
        now[0] += 31
        # Whoever asks before handing a task over, as the orchestrator does, must be let through now.
        assert (await rig.capabilities()).availability == pb.Capabilities.AVAILABLE
        assert (await rig.generate(a_task("s-3"))).end == ("VENDOR_DOWN", "UNKNOWN")
        assert (await rig.capabilities()).availability == pb.Capabilities.BROKEN
        now[0] += 31
        rig.play()
        assert (await rig.generate(a_task("s-4"))).done
        assert (await rig.capabilities()).availability == pb.Capabilities.AVAILABLE
        assert rig.metric("i2v_vendor_breaker_open") == 0


# --- finding what was lost ------------------------------------------------------------------------------------------


async def test_the_vendors_list_can_prove_that_nothing_was_taken(tmp_path: Path) -> None:
    later = [time.time()]
    async with provided("wavespeed", tmp_path, clock=lambda: later[0]) as rig:
        rig.play(submit="garbage")
        asked = time.time()
        assert (await rig.generate()).end == ("ANSWER_LOST", "UNKNOWN")
        assert (await rig.find("submission-1", asked)).outcome == pb.FindResponse.UNKNOWN  # Too early to tell.
        later[0] += 1300
        assert (await rig.find("submission-1", asked)).outcome == pb.FindResponse.ABSENT
        rig.play()
        await rig.generate(a_task("kling", **KLING))  # certainly another's
        assert (await rig.find("submission-1", asked)).outcome == pb.FindResponse.ABSENT
        (other,) = rig.simulator.works.values()
        other.request.model = "alibaba/wan-2.5-i2v"
        # By a name that we do not know, it may be ours.
        assert (await rig.find("submission-1", asked)).outcome == pb.FindResponse.UNKNOWN
        rig.simulator.works.clear()
        rig.play(submit="lost")
        assert (await rig.generate(a_task("submission-2"))).end == ("ANSWER_LOST", "UNKNOWN")
        # There is one of that time, and it may be ours or another's.
        assert (await rig.find("submission-2", asked)).outcome == pb.FindResponse.UNKNOWN
        later[0] += 8 * 86400
        assert (await rig.find("submission-1", asked)).outcome == pb.FindResponse.UNKNOWN  # Too late to tell.


# --- webhooks -------------------------------------------------------------------------------------------------------


def post(url: str, body: bytes, headers: dict[str, str]) -> int:
    request = urllib.request.Request(url, data=body, headers=headers, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def free_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return int(bound.getsockname()[1])


@pytest_asyncio.fixture
async def hooked(tmp_path: Path) -> AsyncIterator[Provided]:
    """A provider that looks once a minute, unless a webhook tells it to look now."""
    port = free_port()

    def change(values: dict[str, Any], simulator: Simulator) -> None:
        values |= {"webhook_listen": f"127.0.0.1:{port}", "webhook_url": f"http://127.0.0.1:{port}/hooks"}
        values |= {"look_every_s": 60.0, "webhook_secret": SECRET}

    async with provided("wavespeed", tmp_path, change=change) as made:
        yield made


async def test_a_webhook_makes_the_provider_look_at_once(hooked: Provided) -> None:
    hooked.play(work_s=0.1)
    assert (await asyncio.wait_for(hooked.generate(), 20)).done
    assert hooked.simulator.counts["webhook-204"] == 1


async def test_a_webhook_tells_what_a_lost_submission_has_become(hooked: Provided) -> None:
    hooked.play(submit="lost", stay="work")
    assert (await hooked.generate()).end == ("ANSWER_LOST", "UNKNOWN")
    ref = next(iter(hooked.simulator.works))
    body = json.dumps({"id": ref, "status": "completed"}).encode()
    stamp = str(int(time.time()))
    good = {"webhook-id": "1", "webhook-timestamp": stamp, "webhook-signature": signature(SECRET, "1", stamp, body)}
    url = f"http://127.0.0.1:{hooked.app.webhook_port}/hooks/submission-1"
    forged = good | {"webhook-signature": signature("guessed", "1", stamp, body)}
    assert await asyncio.to_thread(post, url, body, forged) == 401
    assert await asyncio.to_thread(post, url, body, {}) == 401
    assert (await hooked.find("submission-1", time.time())).outcome == pb.FindResponse.UNKNOWN
    assert await asyncio.to_thread(post, url, body, good) == 204
    found = await hooked.find("submission-1", time.time())
    assert (found.outcome, found.external_ref) == (pb.FindResponse.FOUND, ref)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET / HTTP/1.1\r\nhost: x\r\n\r\n", b"405"),
        (b"nonsense\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2000000\r\n\r\n" + bytes(2_000_000), b"413"),
        (b"POST / HTTP/1.1\r\nhost: x\r\n" + b"a: b\r\n" * 5000, b"400"),
        (b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n", b"401"),
    ],
    ids=["method", "nonsense", "large", "headers", "unsigned"],
)
async def test_the_listener_takes_nothing_else(hooked: Provided, sent: bytes, status: bytes) -> None:
    assert hooked.app.webhook_port is not None
    reader, writer = await asyncio.open_connection("127.0.0.1", hooked.app.webhook_port)
    try:
        writer.write(sent)
        assert (await asyncio.wait_for(reader.readline(), 10)).split()[1] == status
    finally:
        writer.close()


# --- as a process: going down, and many at a time --------------------------------------------------------------------


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


async def test_going_down_lets_a_submission_end_and_its_caller_know(tmp_path: Path) -> None:
    async with WaveSpeedSimulator().running() as simulator, process(simulator, tmp_path) as (made, stub):
        simulator.scenario = Scenario(submit="hold", stay="work")
        call = generate(stub, "s-1", PICTURE)
        await simulator.arrived.wait()
        made.terminate()
        simulator.held.set()
        ref = (await until(call, "accepted")).accepted.external_ref
        assert ref in simulator.works
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await until(call, "done")
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        assert await asyncio.wait_for(made.wait(), 20) == 0
        assert simulator.paid == 1
        log = (tmp_path / "log").read_text()
        assert ref in log
        assert simulator.key not in log


@pytest.mark.timeout(600)
async def test_a_thousand_tasks_wait_in_one_process_with_little_memory(tmp_path: Path) -> None:
    data = PICTURE + bytes(100_000)
    async with (
        WaveSpeedSimulator().running() as simulator,
        process(simulator, tmp_path, LOOK_EVERY_S="5") as (made, stub),
    ):
        simulator.scenario = Scenario(stay="work")
        simulator.keep_inputs = False
        gate = asyncio.Semaphore(100)

        async def begin(number: int) -> Any:
            async with gate:
                call = generate(stub, f"s-{number}", data)
                await until(call, "accepted")
                return call

        calls = await asyncio.gather(*(begin(number) for number in range(1000)))
        assert simulator.paid == 1000
        began = time.monotonic()
        await stub.GetCapabilities(pb.GetCapabilitiesRequest())
        assert time.monotonic() - began < 2.0
        status = Path(f"/proc/{made.pid}/status").read_text()
        peak_mb = int(status.partition("VmHWM:")[2].split()[0]) / 1024
        assert peak_mb < 400
        assert list((tmp_path / "spool").iterdir()) == []
        for call in calls:
            call.cancel()


@pytest.mark.parametrize(
    ("arguments", "variables", "code", "words"),
    [
        ([], {}, 2, "usage"),
        (["sora"], {}, 2, "usage"),
        (["fal"], {"I2V_PROVIDER_FAL_NONSENSE": "1"}, 1, "I2V_PROVIDER_FAL_NONSENSE"),
        (["fal"], {"I2V_PROVIDER_FAL_SIMULATION": "true"}, 1, "I2V_PROVIDER_FAL_SIMULATION needs"),
    ],
)
def test_a_wrong_start_is_said_in_a_line(
    arguments: list[str],
    variables: dict[str, str],
    code: int,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert main(arguments) == code
    assert words in capsys.readouterr().err
