"""Behaviour of the provider for every vendor: who may call, what is reported, shutdown, many calls."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio
from i2v.provider.v1 import provider_pb2 as pb
from prometheus_client import CollectorRegistry

from services.providers.__main__ import main
from services.providers.app import _downloader
from services.providers.metrics import VendorMeter, VendorMetrics
from services.providers.settings import Settings
from services.providers.vendor import Failed
from services.providers.vendors import VENDORS
from tests.support.provider_and_simulator import (
    IMAGE,
    PICTURE,
    TALK,
    Provided,
    a_task,
    generate,
    process,
    provided,
    refusal,
    sound,
    until,
)
from tools.simulators.scenario import Scenario
from tools.simulators.simulator import Simulator
from tools.simulators.wavespeed import SECRET, WaveSpeedSimulator
from tools.stack_process import free_port


@pytest_asyncio.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Provided]:
    async with provided("wavespeed", tmp_path) as made:
        yield made


async def test_only_the_orchestrator_may_call(rig: Provided) -> None:
    for metadata in ((), (("authorization", "Bearer guessed"),)):
        call = rig.stub.GetCapabilities(pb.GetCapabilitiesRequest(), metadata=metadata)
        assert (await refusal(call))[0] is grpc.StatusCode.UNAUTHENTICATED


async def test_a_simulation_reports_itself_only_when_it_is_configured(tmp_path: Path) -> None:
    for simulation in (True, False):
        change = {"simulation": simulation}
        async with provided("wavespeed", tmp_path, change=lambda values, _, c=change: values.update(c)) as rig:
            result = await rig.capabilities()
            assert result.simulation is simulation
            assert set(result.models) == {"wan-2.5", "kandinsky-5-pro", "kling-2.5-turbo-std", "infinitetalk"}
            assert result.availability == pb.Capabilities.AVAILABLE


@pytest.mark.parametrize(("vendor", "host"), [("wavespeed", "api.wavespeed.ai"), ("fal", "queue.fal.run")])
async def test_a_key_without_other_settings_selects_the_real_vendor(
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
        result = await rig.capabilities()
        assert (result.simulation, result.availability) == (False, pb.Capabilities.AVAILABLE)
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


async def test_a_new_key_of_the_vendor_is_used_without_a_restart(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("an-old-key")

    def change(values: dict[str, Any], _: object) -> None:
        values |= {"key": "an-old-key", "key_file": str(file)}

    async with provided("wavespeed", tmp_path / "data", change=change) as rig:
        assert (await rig.generate()).end == ("BAD_KEY", "NOT_CHARGED")
        assert (await rig.capabilities()).availability == pb.Capabilities.NO_KEY
        file.write_text(rig.simulator.key)
        assert (await rig.capabilities()).availability == pb.Capabilities.AVAILABLE
        assert (await rig.generate()).done


async def test_a_problem_of_the_account_is_shown_until_work_is_accepted_again(rig: Provided) -> None:
    for submit, shown in (("no-credit", pb.Capabilities.NO_CREDIT), ("bad-key", pb.Capabilities.NO_KEY)):
        rig.play(submit=submit)
        await rig.generate()
        assert (await rig.capabilities()).availability == shown
    rig.play()
    assert (await rig.generate()).done
    assert (await rig.capabilities()).availability == pb.Capabilities.AVAILABLE


async def test_a_vendor_that_fails_repeatedly_is_not_called_for_a_time(tmp_path: Path) -> None:
    now = [1_000_000.0]

    def change(values: dict[str, Any], simulator: Simulator) -> None:
        values |= {"breaker_failures": 3, "breaker_s": 30.0}

    async with provided("wavespeed", tmp_path, change=change, clock=lambda: now[0]) as rig:
        rig.play(submit="refused", status=503)
        for number in range(3):
            assert (await rig.generate(a_task(f"s-{number}"))).end == ("VENDOR_DOWN", "UNKNOWN")
        result = await rig.generate(a_task("s-3"))
        assert result.end == ("CIRCUIT_OPEN", "NOT_CHARGED")
        assert result.failed.retry_delay.seconds == 30
        assert rig.simulator.paid == 3
        shown = await rig.capabilities()
        assert (shown.availability, shown.retry_time.seconds) == (pb.Capabilities.BROKEN, 1_000_030)
        assert rig.metric("i2v_vendor_breaker_open") == 1
        now[0] += 31
        # A caller that checks before it submits, as the orchestrator does, must be let through now.
        assert (await rig.capabilities()).availability == pb.Capabilities.AVAILABLE
        assert rig.metric("i2v_vendor_breaker_open") == 0
        assert (await rig.generate(a_task("s-3"))).end == ("VENDOR_DOWN", "UNKNOWN")
        assert (await rig.capabilities()).availability == pb.Capabilities.BROKEN
        assert rig.metric("i2v_vendor_breaker_open") == 1
        now[0] += 31
        rig.play()
        assert (await rig.generate(a_task("s-4"))).done
        assert (await rig.capabilities()).availability == pb.Capabilities.AVAILABLE
        assert rig.metric("i2v_vendor_breaker_open") == 0


async def test_a_model_whose_work_takes_hours_is_watched_for_longer(tmp_path: Path) -> None:
    def change(values: dict[str, Any], simulator: Simulator) -> None:
        values |= {"watch_s": 0.2, "long_watch_s": 6.0}

    talk = [IMAGE, (pb.Input.AUDIO, "audio/wav", sound(2))]
    async with provided("wavespeed", tmp_path, change=change) as rig:
        rig.play(work_s=1.5)
        assert (await rig.generate()).end == ("TIMED_OUT", "UNKNOWN")
        assert (await rig.generate(a_task("talk", **TALK), talk)).done
        rig.play(stay="work")
        began = time.monotonic()
        result = await rig.generate(a_task("endless-talk", **TALK), talk)
        assert (result.end, result.failed.resumable) == (("TIMED_OUT", "UNKNOWN"), True)
        assert time.monotonic() - began >= 6.0


async def test_a_shutdown_waits_for_a_submission_and_informs_its_caller(tmp_path: Path) -> None:
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


async def test_a_webhook_gives_the_task_of_a_submission_from_before_a_restart(tmp_path: Path) -> None:
    hooks = f"127.0.0.1:{free_port()}"
    variables = {"WEBHOOK_LISTEN": hooks, "WEBHOOK_URL": f"http://{hooks}/hooks", "WEBHOOK_SECRET": SECRET}
    async with WaveSpeedSimulator().running() as simulator:
        simulator.scenario = Scenario(submit="hold", stay="work")
        async with process(simulator, tmp_path, **variables) as (made, stub):
            call = generate(stub, "s-1", PICTURE)
            await simulator.arrived.wait()
            made.kill()
            with pytest.raises(grpc.aio.AioRpcError):
                await until(call, "accepted")
        simulator.held.set()
        async with process(simulator, tmp_path, **variables) as (_, stub):
            request = pb.FindRequest(submission_id="s-1", model="wan-2.5")
            request.submit_time.GetCurrentTime()
            assert (await stub.Find(request)).outcome == pb.FindResponse.UNKNOWN
            simulator.release()
            for _ in range(1000):  # No event reports that the webhook has arrived.
                found = await stub.Find(request)
                if found.outcome == pb.FindResponse.FOUND:
                    break
                await asyncio.sleep(0.02)
            assert found.external_ref in simulator.works
            attached = stub.Attach(pb.AttachRequest(external_ref=found.external_ref, model="wan-2.5"))
            assert await until(attached, "done")
        assert simulator.paid == 1


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
        assert time.monotonic() - began < 20.0
        status = Path(f"/proc/{made.pid}/status").read_text()
        peak_mb = int(status.partition("VmHWM:")[2].split()[0]) / 1024
        assert peak_mb < 400
        assert list((tmp_path / "spool").rglob("task-*")) == []
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
def test_a_failed_start_is_reported_in_one_line(
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
