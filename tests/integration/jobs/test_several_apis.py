"""Several APIs over one database: any of them serves any job, stream and page, and limits hold over all of them."""

import asyncio
import json
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import Popen
from typing import Any

import grpc
import pytest
from i2v.v1 import asset_pb2, asset_pb2_grpc, job_pb2, job_pb2_grpc

from i2v_client import AsyncClient
from services.orchestrator.role import Role
from services.rpc.status_codes import from_call
from tests.support import pictures
from tests.support.served_orchestrator import GOLDEN, Served, caller, parts, served, text_spec
from tests.support.worker_processes import api_alone, said, worker

APIS = 3


@dataclass
class Installation:
    """An API in this process, whose worker is another one, and APIs that can be killed."""

    here: Served
    folder: Path
    apis: list[Popen[bytes]] = field(default_factory=list)
    addresses: list[str] = field(default_factory=list)

    def channel(self, number: int) -> grpc.aio.Channel:
        return grpc.aio.insecure_channel(self.addresses[number])


@pytest.fixture
async def site(database: str, tmp_path: Path) -> AsyncIterator[Installation]:
    """Three APIs and a worker as processes."""
    async with AsyncExitStack() as stack:
        here = await stack.enter_async_context(api_alone(database, tmp_path))
        found = Installation(here, tmp_path)
        for number in range(APIS):
            settings = {"I2V_PLANS_FILE": str(GOLDEN / "plans.toml"), "I2V_FAKE_SLOTS": "0"}
            found.apis.append(stack.enter_context(worker(database, tmp_path, f"api-{number}", role="api", **settings)))
        stack.enter_context(worker(database, tmp_path, "worker-0", I2V_FAKE_SLOTS="2", I2V_FAKE_PAUSE_S="0.5"))
        for number, api in enumerate(found.apis):
            text = await said(api, tmp_path / f"api-{number}.log", '"message":"serving"')
            [ready] = [json.loads(line) for line in text.splitlines() if '"message":"ready"' in line]
            found.addresses.append(f"127.0.0.1:{ready['port']}")
        yield found


async def pages(stubs: list[Any], size: int) -> list[str]:
    """Lists all jobs, each page by the next API, with the token of the one before."""
    names: list[str] = []
    token = ""
    for turn in range(100):
        request = job_pb2.ListJobsRequest(page_size=size, page_token=token)
        page = await stubs[turn % len(stubs)].ListJobs(request, metadata=caller())
        names += [job.name for job in page.jobs]
        if not (token := page.next_page_token):
            return names
    raise AssertionError("the list has no end")


async def test_when_an_api_is_killed_the_others_serve_its_jobs_streams_pages_and_assets(site: Installation) -> None:
    async with AsyncExitStack() as stack:
        channels = [await stack.enter_async_context(site.channel(number)) for number in range(APIS)]
        stubs: list[Any] = [job_pb2_grpc.JobServiceStub(channel) for channel in channels]
        assets: list[Any] = [asset_pb2_grpc.AssetServiceStub(channel) for channel in channels]
        picture = pictures.a_picture(64, 32)
        stored = await assets[0].WriteAsset(parts(asset_pb2.WriteAssetHeader(), picture), metadata=caller())
        made = [
            await stubs[number % APIS].SubmitJob(
                job_pb2.SubmitJobRequest(request_id=str(uuid.uuid4()), spec=text_spec(seconds=2)), metadata=caller()
            )
            for number in range(9)
        ]
        names = [job.name for job in made]
        assert await pages(stubs, 2) == names[::-1]
        first_page = await stubs[0].ListJobs(job_pb2.ListJobsRequest(page_size=4), metadata=caller())

        client = await stack.enter_async_context(AsyncClient(",".join(site.addresses), "studio-key", user="ann"))

        async def watch(name: str) -> list[int]:
            return [event.sequence async for event in client.watch(name)]

        watching = [asyncio.create_task(watch(name)) for name in names]
        await site.here.until(names[0], "fragment_ready")
        site.apis[0].kill()
        site.apis[0].wait()
        for stub in stubs[1:]:
            for name in names:
                assert (await stub.GetJob(job_pb2.GetJobRequest(name=name), metadata=caller())).name == name
        assert await pages(stubs[1:], 2) == names[::-1]
        request = job_pb2.ListJobsRequest(page_size=9, page_token=first_page.next_page_token)
        assert [job.name for job in (await stubs[1].ListJobs(request, metadata=caller())).jobs] == names[::-1][4:]
        read = assets[2].ReadAsset(asset_pb2.ReadAssetRequest(name=stored.name), metadata=caller())
        assert b"".join([answer.data async for answer in read])
        for seen in await asyncio.gather(*watching):
            assert seen == list(range(1, len(seen) + 1)), "no event is missing or comes twice"


async def test_a_race_for_a_budget_at_two_apis_grants_exactly_the_budget(database: str, tmp_path: Path) -> None:
    """The tenant `poor` has 3 000 micros: three jobs."""
    async with (
        served(database, tmp_path / "one", {}, role=Role.API) as one,
        served(database, tmp_path / "other", {}, role=Role.API) as other,
    ):

        async def submit(number: int) -> str:
            try:
                await (one, other)[number % 2].submit(text_spec(), tenant="poor", user=f"user-{number % 5}")
            except grpc.aio.AioRpcError as error:
                return from_call(error).reason
            return "granted"

        outcomes = Counter(await asyncio.gather(*(submit(number) for number in range(30))))
        assert outcomes["granted"] == 3 and len(outcomes) == 2, outcomes
        for api in (one, other):
            assert (await api.usage(tenant="poor")).tenant.reserved.amount_micros == 3000
        assert await one.app.store.counter_audits.full(limit=9) == []
