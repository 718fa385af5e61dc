"""When an outage is reported: once, and not while a new connection merely has no message yet."""

import asyncio

import grpc

from i2v_client.errors import Unreachable
from i2v_client.failure import Failure
from i2v_client.retry import RetryPolicy

AWAY = Unreachable(Failure(grpc.StatusCode.UNAVAILABLE, "Connection refused"))
DOWN = Unreachable(Failure(grpc.StatusCode.UNAVAILABLE, "The database is away.", "DATABASE_UNAVAILABLE"))


def policy(reported: list[Unreachable], connected: list[bool]) -> RetryPolicy:
    return RetryPolicy(600, on_outage=reported.append, connected=lambda: any(connected), outage_s=0)


async def test_each_outage_is_reported_once() -> None:
    reported: list[Unreachable] = []
    retry = policy(reported, [])
    for error in (AWAY, DOWN):
        await retry.wait(error)
        await retry.wait(error)
        retry.contact()
    assert reported == [AWAY, DOWN]


async def test_a_new_connection_on_which_nothing_comes_yet_is_no_outage_until_it_fails() -> None:
    reported: list[Unreachable] = []
    retry = policy(reported, [True])
    await retry.wait(AWAY)
    assert reported == []
    await retry.wait(DOWN)
    assert reported == [DOWN]
    await retry.wait(DOWN)
    assert reported == [DOWN]


async def test_an_outage_that_ended_in_time_is_not_reported() -> None:
    reported: list[Unreachable] = []
    retry = policy(reported, [])
    waiting = asyncio.create_task(retry.wait(AWAY))
    await asyncio.sleep(0)
    retry.contact()
    await waiting
    assert reported == []
