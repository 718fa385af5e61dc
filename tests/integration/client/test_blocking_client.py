"""The client for programs without an event loop, against the scripted server."""

import asyncio
import concurrent.futures
import io
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest
from i2v.v1 import job_pb2, job_pb2_grpc

from i2v_client import (
    AsyncClient,
    Client,
    InvalidRequest,
    NotFound,
    Unreachable,
    client,
    job_spec,
    ledger,
    library,
    provenance,
    webhooks,
)
from services.errors import InvalidSpec, Unavailable, Violation
from services.reasons import ServiceReason, SpecReason
from tests.support.scripted_server import KEY, PICTURE, THE_EVENTS, VIDEO, Rig

T = TypeVar("T")


async def with_client(rig: Rig, work: Callable[[Client], T]) -> T:
    """Does the work in a thread: the server is on this one's event loop."""

    def whole() -> T:
        with Client(rig.address, KEY, "ann", retry_for_s=5) as i2v:
            return work(i2v)

    return await asyncio.to_thread(whole)


async def test_a_picture_becomes_a_video_without_an_event_loop(rig: Rig, tmp_path: Path) -> None:
    def work(i2v: Client) -> list[job_pb2.JobEvent]:
        picture = i2v.upload(io.BytesIO(PICTURE))
        job = i2v.submit(job_spec("It moves.", image=picture.name))
        events = list(i2v.watch(job.name))
        assert i2v.download(i2v.get(job.name).output.asset, tmp_path / "cat.mp4") == len(VIDEO)
        return events

    assert await with_client(rig, work) == THE_EVENTS
    assert (tmp_path / "cat.mp4").read_bytes() == VIDEO
    assert rig.script.uploads == [PICTURE]


async def test_events_come_once_each_over_streams_that_break(rig: Rig) -> None:
    rig.script.break_watch_after = [1, 3, 3, 5]
    assert await with_client(rig, lambda i2v: list(i2v.watch("jobs/7"))) == THE_EVENTS


async def test_after_a_watch_that_was_left_the_client_goes_on(rig: Rig) -> None:
    rig.script.endless = True

    def work(i2v: Client) -> int:
        for event in i2v.watch("jobs/7"):
            if event.sequence == 2:
                break
        return len(list(i2v.jobs()))

    assert await with_client(rig, work) == 6, "all pages of jobs"


async def test_errors_are_those_of_the_asynchronous_client(rig: Rig) -> None:
    violation = Violation("spec.seed", "is no number", SpecReason.MODEL_RETIRED)
    rig.script.fail_submit = [InvalidSpec([violation])]

    def work(i2v: Client) -> None:
        with pytest.raises(NotFound):
            i2v.get("jobs/8")
        with pytest.raises(InvalidRequest) as refused:
            i2v.submit(job_spec("A wave."))
        assert [each.field for each in refused.value.violations] == ["spec.seed"]

    await with_client(rig, work)


async def test_a_submission_is_repeated_with_one_request_id(rig: Rig) -> None:
    rig.script.fail_submit = [Unavailable(reason=ServiceReason.GOING_DOWN, retry_after_s=0.01)]
    await with_client(rig, lambda i2v: i2v.submit(job_spec("A wave.")))
    first, second = rig.script.asked_for(job_pb2.SubmitJobRequest)
    assert first.request_id == second.request_id != ""


async def test_services_without_methods_are_called_by_their_stubs(rig: Rig) -> None:
    def work(i2v: Client) -> None:
        jobs = job_pb2_grpc.JobServiceStub(i2v.channel())
        assert i2v.call(jobs.GetJob, job_pb2.GetJobRequest(name="jobs/7")).name == "jobs/7"
        assert len(list(i2v.each(jobs.ListJobs, job_pb2.ListJobsRequest(), "jobs"))) == 6
        watched = i2v.stream(jobs.WatchJob, job_pb2.WatchJobRequest(name="jobs/7", after_sequence=5))
        assert [each.WhichOneof("response") for each in watched] == ["heartbeat", "event"]

    await with_client(rig, work)


async def test_threads_share_a_client_next_to_an_asynchronous_one(rig: Rig) -> None:
    def work(i2v: Client) -> list[str]:
        found: list[str] = []
        threads = [threading.Thread(target=lambda: found.append(i2v.get("jobs/7").name)) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return found

    done, own = await asyncio.gather(with_client(rig, work), rig.client.get("jobs/7"))
    assert done == ["jobs/7"] * 16 and own.name == "jobs/7"


async def test_a_function_that_the_client_calls_is_told_that_it_cannot_wait_for_it(rig: Rig) -> None:
    def work(i2v: Client) -> None:
        with pytest.raises(RuntimeError, match="cannot wait"):
            list(i2v.watch("jobs/7", on_heartbeat=lambda _: i2v.cancel("jobs/7") and None))

    await with_client(rig, work)


async def test_a_server_that_is_not_there_is_said_and_the_thread_ends() -> None:
    def work() -> None:
        with Client("127.0.0.1:1", KEY, retry_for_s=0.1) as i2v, pytest.raises(Unreachable):
            i2v.get("jobs/7")

    await asyncio.to_thread(work)
    assert not [each for each in threading.enumerate() if each.name == "i2v-client"]


async def test_a_thread_that_still_waits_ends_when_the_client_is_closed() -> None:
    def work() -> None:
        with Client("127.0.0.1:1", KEY, retry_for_s=600) as i2v:
            waiting = threading.Thread(target=wait, args=[i2v], daemon=True)
            waiting.start()
            begun.wait()
        waiting.join(60)
        assert not waiting.is_alive()

    def wait(i2v: Client) -> None:
        with pytest.raises(concurrent.futures.CancelledError):
            for _ in i2v.watch("jobs/7", on_outage=lambda _: begun.set()):
                pass

    begun = threading.Event()
    await asyncio.to_thread(work)


def test_every_call_of_the_asynchronous_client_has_a_method_that_waits() -> None:
    wanted = {name for name in vars(AsyncClient) if not name.startswith("_")} - {"send"}
    assert wanted == {name for name in vars(Client) if not name.startswith("_")}
    for asynchronous, waiting in (
        (library.Library, client.Library),
        (ledger.Ledger, client.Ledger),
        (provenance.Provenance, client.Provenance),
        (webhooks.Webhooks, client.Webhooks),
    ):
        wanted = {name for name in vars(asynchronous) if not name.startswith("_")}
        assert wanted == {name for name in vars(waiting) if not name.startswith("_")}


async def test_ctrl_c_ends_a_program_that_waits_for_an_event(rig: Rig) -> None:
    rig.script.endless = True
    program = (
        "import sys; from i2v_client import Client\n"
        f"with Client({rig.address!r}, {KEY!r}) as i2v:\n"
        "    for event in i2v.watch('jobs/7'): print(event.sequence, flush=True)"
    )
    running = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", program),
        env={"PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert running.stdout is not None
    while await running.stdout.readline() != b"4\n":
        pass
    running.send_signal(signal.SIGINT)
    _, said = await asyncio.wait_for(running.communicate(), 60)
    assert said.decode().splitlines()[-1] == "KeyboardInterrupt"
