"""A connection that has become old moves to other servers, and its client notices nothing."""

import asyncio

from i2v.v1 import job_pb2

from i2v_client import AsyncClient
from tests.support.scripted_server import KEY, THE_EVENTS, Script, serving

AGE_S = 0.3


async def test_calls_go_on_while_connections_are_replaced() -> None:
    server = await serving(Script(), connection_age_s=AGE_S)
    try:
        async with AsyncClient(f"127.0.0.1:{server.port}", KEY, retry_for_s=0) as client:
            until = asyncio.get_running_loop().time() + 6 * AGE_S
            while asyncio.get_running_loop().time() < until:
                await client.get("jobs/7")
    finally:
        await server.drain(0)


async def test_a_watch_that_outlives_its_connection_is_resumed() -> None:
    script = Script()
    script.endless = True
    server = await serving(script, connection_age_s=AGE_S)
    try:
        async with AsyncClient(f"127.0.0.1:{server.port}", KEY, retry_for_s=60) as client:
            events = client.watch("jobs/7")
            seen = [(await anext(events)).sequence for _ in range(4)]
            following = asyncio.ensure_future(anext(events))
            while len(script.asked_for(job_pb2.WatchJobRequest)) < 2:
                assert not following.done()
                await asyncio.sleep(0.01)
            script.endless = False
            seen.append((await following).sequence)
            seen += [event.sequence async for event in events]
    finally:
        await server.drain(0)
    assert seen == [event.sequence for event in THE_EVENTS]
