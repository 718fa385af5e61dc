"""A process restores its permanent connections, even if it lacks threads for a name lookup meanwhile."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import psycopg

from services.orchestrator.store.database import plain_url
from services.orchestrator.store.notification_listener import CHANGES, NotificationListener
from services.orchestrator.store.worker_name_lock import WorkerNameLock
from tests.support.postgres_proxy import PostgresProxy, postgres_proxy

CLAIMED = """
SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = hashtext('i2v-worker')::oid AND granted
"""


class NoThreads(ThreadPoolExecutor):
    """Threads that cannot be started."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = asyncio.Event()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **named: Any) -> Future[Any]:
        self.asked.set()
        raise RuntimeError("can't start new thread")


def by_name(proxy: PostgresProxy) -> str:
    """The URL with a host that has to be looked up."""
    return plain_url(proxy.url).replace("127.0.0.1", "localhost")


async def break_all(session: psycopg.AsyncConnection) -> None:
    """Ends every connection to the database except this one, while no thread can be started."""
    loop, none = asyncio.get_running_loop(), NoThreads()
    loop.set_default_executor(none)
    await session.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    await none.asked.wait()
    loop.set_default_executor(ThreadPoolExecutor())


async def test_a_listener_connects_again(database: str) -> None:
    async with (
        await psycopg.AsyncConnection.connect(plain_url(database), autocommit=True) as session,
        postgres_proxy(database) as proxy,
    ):
        listener = NotificationListener(by_name(proxy))
        await listener.start()
        async with listener.subscribe(CHANGES, "job") as signal:
            assert await signal.wait(0)
            await break_all(session)
            assert await signal.wait(60)
        await listener.stop()


async def test_a_claim_is_taken_again(database: str) -> None:
    async with (
        await psycopg.AsyncConnection.connect(plain_url(database), autocommit=True) as session,
        postgres_proxy(database) as proxy,
    ):
        claim = WorkerNameLock(by_name(proxy), "worker-0")
        await claim.take()
        holding = asyncio.create_task(claim.hold())
        await break_all(session)
        while await (await session.execute(CLAIMED)).fetchone() != (1,):
            assert not holding.done()
            await asyncio.sleep(0.05)
        holding.cancel()
        await asyncio.wait({holding})
        await claim.release()
