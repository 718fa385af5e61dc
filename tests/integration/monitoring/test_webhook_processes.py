"""The role `webhooks` as a process: it delivers, says what it does, and loses nothing when it is killed."""

import asyncio
import re
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import sqlalchemy as sa

from services.orchestrator.store.postgres_store import PostgresStore
from tests.support.builders import admit, numbered
from tests.support.webhook_receivers import Receiver, receiving
from tests.support.webhook_senders import three_events, until_done, until_states, url
from tests.support.webhooks import an_endpoint
from tests.support.worker_processes import said, worker

SETTINGS = {"I2V_WEBHOOK_PRIVATE_HOSTS": "127.0.0.1", "I2V_MIGRATE": "false", "I2V_LOG_LEVEL": "DEBUG"}
LEASE_OVER = sa.text("UPDATE webhook_deliveries SET next_try_time = now() - interval '1 s' WHERE claimed")


async def metrics(port: int) -> str:
    async with httpx.AsyncClient(trust_env=False) as client:
        return (await client.get(f"http://127.0.0.1:{port}/metrics")).text


async def test_a_killed_process_loses_nothing_and_the_next_sends_the_same_id(
    store: PostgresStore, database: str, tmp_path: Path
) -> None:
    release = asyncio.Event()

    async def hang(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
        await release.wait()

    async with AsyncExitStack() as stack:
        receiver = await stack.enter_async_context(receiving(Receiver(behave=hang)))
        endpoint = await an_endpoint(store, url=url(receiver))
        with worker(database, tmp_path, "first", "webhooks", **SETTINGS) as process:
            await said(process, tmp_path / "first.log", "ready")
            await three_events(store, 1)
            await receiver.until(1)
            process.kill()  # the receiver has it, and no one knows
            process.wait()
        receiver.behave = None
        async with store.database.reading() as connection:  # as if the time of its claim had passed
            await connection.execute(LEASE_OVER)
        with worker(database, tmp_path, "second", "webhooks", **SETTINGS) as process:
            await receiver.until(4)
            await until_done(store, endpoint)
            process.terminate()
            assert await asyncio.to_thread(process.wait, 60) == 0
        release.set()
    assert receiver.got[0].id == receiver.got[1].id
    assert [each.data["sequence"] for each in receiver.got] == [1, 1, 2, 3]
    await until_states(store, endpoint, ("delivered", 2), ("delivered", 1), ("delivered", 1))


async def test_a_process_says_what_it_delivers_what_waits_and_what_it_pauses(
    store: PostgresStore, database: str, tmp_path: Path
) -> None:
    async with receiving(Receiver()) as good, receiving(Receiver(status=410)) as gone:
        well, ill = await an_endpoint(store, url=url(good)), await an_endpoint(store, url=url(gone))
        with worker(database, tmp_path, "sender", "webhooks", **SETTINGS) as process:
            log = tmp_path / "sender.log"
            ready = await said(process, log, '"ready"')
            found = re.search(r'"metrics_port": ?(\d+)', ready)
            assert found is not None
            await admit(store, numbered(1))
            await until_done(store, well)
            await until_states(store, ill, ("waiting", 1))
            text = await said(process, log, "a webhook endpoint was paused")
            shown = await metrics(int(found[1]))
    for line in (
        'i2v_webhook_tries_total{reason="",result="delivered"} 1.0',
        'i2v_webhook_tries_total{reason="RECEIVER_GONE",result="failed"} 1.0',
        'i2v_webhook_endpoints_paused_total{reason="gone"} 1.0',
        'i2v_webhook_try_seconds_count{result="delivered"} 1.0',
        "i2v_webhook_delay_seconds_count 1.0",
        "i2v_webhooks_waiting ",
        "i2v_webhooks_due_seconds ",
    ):
        assert line in shown, shown
    assert f'"webhook":"{ill.key.id}","reason":"gone"' in text
    assert "whsec_" not in text.replace("whsec_[redacted]", "") and url(good) not in text


async def test_a_process_without_a_database_of_its_own_says_what_it_needs(tmp_path: Path) -> None:
    with worker("", tmp_path, "sender", "webhooks") as process:
        assert await asyncio.to_thread(process.wait, 60) == 1
    assert "webhooks needs I2V_DATABASE_URL" in (tmp_path / "sender.log").read_text()
