"""Tritons that DNS drops while a worker uses them, or that come back with another configuration."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from services.errors import Unavailable
from services.orchestrator.backends.triton_addresses import shared_name
from services.orchestrator.ports.backend import Output
from services.orchestrator.ports.slot_locks import SlotLock
from services.orchestrator.store.slot_locks import PostgresSlotLocks
from tests.support.scripted_triton import ScriptedTriton
from tests.support.triton_pools import Site, a_site, events_of, until


@pytest.fixture
async def site(database: str, tmp_path: Path) -> AsyncIterator[Site]:
    async with a_site(database, tmp_path, ScriptedTriton(slots="2"), ScriptedTriton(slots="2")) as made:
        yield made


async def test_a_check_of_a_triton_that_dns_drops_meanwhile_ends_well(site: Site) -> None:
    registry, pool = site.registry, site.worker()
    await pool.check()
    shown = partial(registry.get_sample_value, "i2v_triton_ready", {"backend": "triton", "server": site.addresses[0]})
    assert shown() == 1
    site.tritons[0].silent.add("profile")
    asked = len(site.tritons[1].of("profile"))
    checking = asyncio.create_task(pool.check())
    await until(lambda: len(site.tritons[1].of("profile")) > asked)
    site.listed = site.addresses[1:]
    await pool.reserve(0, 0)  # looks up the addresses
    await site.kill(0)
    await asyncio.wait({checking})
    assert not checking.cancelled() and checking.exception() is None
    await pool.check()
    assert list(pool.servers) == [shared_name(site.addresses[1])]
    assert shown() is None


async def test_an_attempt_goes_on_elsewhere_when_its_triton_is_lost_and_dns_has_dropped_it(site: Site) -> None:
    pool, lost = site.worker(check_s=0.5, lost_s=0.2), site.tritons[0]
    site.listed = site.addresses[:1]
    lost.gate.clear()
    making = asyncio.create_task(events_of(pool, site.attempt()))
    await until(lambda: lost.videos)
    lost.silent.add("profile")
    site.listed = site.addresses[1:]
    with suppress(Unavailable):  # of the other one, on a slow machine
        await pool.check()
    with pytest.raises(Unavailable, match="does not answer"):
        await making


async def test_a_slot_of_a_triton_that_dns_drops_meanwhile_is_not_used(site: Site) -> None:
    class SlowLocks(PostgresSlotLocks):
        async def take(self, servers: Mapping[str, int]) -> SlotLock | None:
            lock = await super().take(servers)
            if len(servers) == 2 and lock is not None:
                site.listed = [address for address in site.addresses if shared_name(address) != lock.server]
                await pool.reserve(0, 0)  # another job looks up the addresses
            return lock

    pool = site.worker(locks=SlowLocks)
    events = await events_of(pool, site.attempt())
    assert isinstance(events[-1], Output)
    assert sum(len(triton.of("transformer")) for triton in site.tritons) == 1
    assert await pool.reserve(0, 9) == 2


async def test_a_triton_that_comes_back_with_other_slots_is_asked_again(site: Site) -> None:
    pool, first = site.worker(), site.tritons[0]
    await pool.check()
    first.not_ready.add("transformer")
    await pool.check()
    first.slots = "3"
    first.not_ready.clear()
    await pool.check()
    assert pool.servers[shared_name(site.addresses[0])] == 3


async def test_a_look_up_that_was_cancelled_is_repeated_by_the_next_job(site: Site) -> None:
    asked = asyncio.Event()

    async def resolve(target: str) -> list[str]:
        if not asked.is_set():
            asked.set()
            await asyncio.Event().wait()
        return site.addresses

    pool = site.worker(resolve=resolve, look_up_s=3600.0)
    first = asyncio.create_task(pool.reserve(0, 9))
    await asked.wait()
    first.cancel()
    await asyncio.wait({first})
    assert await pool.reserve(0, 9) == 4
