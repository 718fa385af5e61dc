"""How often the HTTP process submits a job when answers are lost: never as two jobs."""

from collections.abc import AsyncIterator

import grpc
import pytest
from i2v.v1 import job_pb2, job_pb2_grpc

from services.rpc.channel import open_channel
from services.studio.api_error import ApiError
from services.studio.caller import Caller
from services.studio.videos.api import Api

LOST, LATE, BROKEN = grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.INTERNAL


class Jobs(job_pb2_grpc.JobServiceServicer):
    """Fails with each of these codes, and then answers."""

    def __init__(self) -> None:
        self.codes: list[grpc.StatusCode] = []
        self.request_ids: list[str] = []

    async def SubmitJob(
        self, request: job_pb2.SubmitJobRequest, context: grpc.aio.ServicerContext[object, object]
    ) -> job_pb2.Job:
        self.request_ids.append(request.request_id)
        if self.codes:
            await context.abort(self.codes.pop(0), "the connection broke")
        return job_pb2.Job(name="jobs/a")


@pytest.fixture
def jobs() -> Jobs:
    return Jobs()


@pytest.fixture
async def api(jobs: Jobs) -> AsyncIterator[Api]:
    server = grpc.aio.server()
    job_pb2_grpc.add_JobServiceServicer_to_server(jobs, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with open_channel(f"127.0.0.1:{port}") as channel:
        yield Api(channel, 10.0)
    await server.stop(None)


async def submitted(api: Api) -> str:
    return (await api.submit(Caller(()), job_pb2.SubmitJobRequest(request_id="one"))).name


async def test_a_lost_answer_is_asked_for_again_with_the_same_request_id(api: Api, jobs: Jobs) -> None:
    jobs.codes = [LOST]
    assert await submitted(api) == "jobs/a"
    assert jobs.request_ids == ["one", "one"]


@pytest.mark.parametrize(("codes", "calls"), [([LOST, LOST], 2), ([LATE], 1), ([BROKEN], 1)])
async def test_an_answer_that_stays_away_is_an_error(
    api: Api, jobs: Jobs, codes: list[grpc.StatusCode], calls: int
) -> None:
    jobs.codes = list(codes)
    with pytest.raises(ApiError):
        await submitted(api)
    assert jobs.request_ids == ["one"] * calls
