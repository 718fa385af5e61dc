"""Several Tritons behind one name of a backend, and several workers that share them."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
import pytest

from services.errors import Unavailable
from services.orchestrator.backends.triton_addresses import resolve, shared_name
from services.orchestrator.ports.backend import AttemptFailed, Checkpoint, Continues, Output
from services.orchestrator.ports.slot_locks import Occupancy
from services.orchestrator.store.slot_locks import SLOTS, PostgresSlotLocks
from tests.support.scripted_triton import ScriptedTriton
from tests.support.triton_backend_rig import of
from tests.support.triton_pools import Site, a_site, events_of, until


@pytest.fixture
async def site(database: str, tmp_path: Path) -> AsyncIterator[Site]:
    async with a_site(database, tmp_path, ScriptedTriton(slots="2"), ScriptedTriton(slots="2")) as made:
        yield made


def close_gates(site: Site) -> None:
    for triton in site.tritons:
        triton.gate.clear()


def open_gates(site: Site) -> None:
    for triton in site.tritons:
        triton.gate.set()


async def test_attempts_go_to_the_triton_with_most_free_slots_and_stay_there(site: Site) -> None:
    pool = site.worker()
    close_gates(site)
    making = [asyncio.create_task(events_of(pool, site.attempt(job=f"job-{n}"))) for n in range(5)]
    await until(lambda: [triton.videos for triton in site.tritons] == [2, 2])
    assert await pool.reserve(5, 4) == 0
    open_gates(site)
    for events in await asyncio.gather(*making):
        assert isinstance(events[-1], Output)
    assert [triton.videos_most for triton in site.tritons] == [2, 2]
    for triton in site.tritons:  # a piece of a clip that began elsewhere would be refused
        assert len(triton.of("vae_decoder")) == 4 * len(triton.of("transformer"))
    assert await pool.reserve(0, 9) == 4


async def test_an_attempt_whose_triton_is_killed_goes_on_at_another_from_its_checkpoints(site: Site) -> None:
    for triton in site.tritons:
        triton.silent, triton.fail_after = {"transformer"}, 2
    pool, checkpoints = site.worker(), []
    with pytest.raises(Unavailable) as lost:
        async for event in pool.generate(site.attempt()):
            if isinstance(event, Checkpoint):
                checkpoints.append(event.data)
            if len(checkpoints) == 2:
                [first] = [n for n, triton in enumerate(site.tritons) if triton.videos]
                site.tritons[1 - first].silent.clear()
                await site.kill(first)
    assert lost.value.reason == "ENGINE_UNREACHABLE"
    events = await events_of(pool, site.attempt(2, checkpoints))
    assert [event.block for event in of(Continues, events)] == [2]
    assert [event.index for event in of(Checkpoint, events)] == [2, 3]
    assert isinstance(events[-1], Output)
    assert await pool.reserve(0, 9) == 2, "the killed one gets nothing"
    await pool.check()
    assert pool.slots == 2 and list(pool.servers) == [shared_name(site.addresses[1 - first])]


async def test_a_triton_that_is_not_ready_gets_nothing_until_it_is(site: Site) -> None:
    pool, (first, second) = site.worker(slots=1), site.tritons
    await pool.check()
    assert pool.slots == 2
    first.not_ready.add("transformer")
    await pool.check()
    assert pool.slots == 1
    for number in range(2):
        await events_of(pool, site.attempt(number))
    assert not first.of("transformer") and len(second.of("transformer")) == 2
    second.not_ready.add("transformer")
    with pytest.raises(Unavailable, match="transformer is not ready"):
        await pool.check()
    assert pool.slots == 1 and not pool.servers, "jobs find out why"
    first.not_ready.clear()
    await pool.check()
    await events_of(pool, site.attempt(2))
    assert len(first.of("transformer")) == 1


async def test_a_triton_with_another_profile_gets_nothing_and_alone_it_says_why(site: Site) -> None:
    pool = site.worker()
    site.tritons[0].profile["max_latents"] = 2
    await pool.check()
    assert list(pool.servers) == [shared_name(site.addresses[1])]
    site.tritons[1].profile["max_latents"] = 2
    with pytest.raises(AttemptFailed, match="promises"):
        await pool.check()
    with pytest.raises(AttemptFailed, match="promises"):
        await events_of(pool, site.attempt())


async def test_a_triton_that_dns_no_longer_lists_ends_its_videos_and_gets_no_new_ones(site: Site) -> None:
    registry, pool = site.registry, site.worker()
    close_gates(site)
    site.listed = site.addresses[:1]
    making = asyncio.create_task(events_of(pool, site.attempt()))
    await until(lambda: site.tritons[0].videos)
    site.listed = site.addresses[1:]
    site.tritons[1].gate.set()
    await events_of(pool, site.attempt(job="other"))
    assert (len(site.tritons[0].of("transformer")), len(site.tritons[1].of("transformer"))) == (1, 1)
    assert registry.get_sample_value("i2v_triton_ready", labels(site, 0)) is None
    assert registry.get_sample_value("i2v_triton_ready", labels(site, 1)) == 1
    site.tritons[0].gate.set()
    assert isinstance((await making)[-1], Output)
    await pool.check()
    site.listed = []
    with pytest.raises(Unavailable, match="no address"):
        await pool.check()
    with pytest.raises(Unavailable, match="no address"):
        await events_of(pool, site.attempt(2))
    assert registry.get_sample_value("i2v_triton_ready", labels(site, 0)) is None


def labels(site: Site, number: int) -> dict[str, str]:
    return {"backend": "triton", "server": site.addresses[number]}


async def test_a_worker_without_room_takes_its_slots_again_when_its_connection_has_broken(site: Site) -> None:
    pool, others = site.worker(), PostgresSlotLocks(site.database)
    site.stack.push_async_callback(others.close)
    close_gates(site)
    making = [asyncio.create_task(events_of(pool, site.attempt(number))) for number in range(4)]
    await until(lambda: sum(triton.videos for triton in site.tritons) == 4)
    await end_connections(site.database)
    await pool.check()
    servers = {shared_name(address): 2 for address in site.addresses}
    assert (await others.look(servers)).free == 0
    open_gates(site)
    await asyncio.gather(*making)


async def test_a_dns_that_does_not_answer_changes_nothing(site: Site) -> None:
    pool = site.worker()
    await pool.check()
    site.listed = None
    await pool.check()
    assert len(pool.servers) == 2
    with pytest.raises(Unavailable, match="no address"):
        await site.worker().check()


async def test_the_metrics_say_of_each_triton_whether_it_is_ready_and_what_it_does(site: Site) -> None:
    registry = site.registry
    pool = site.worker()
    await pool.check()
    await site.kill(1)
    await pool.check()
    close_gates(site)
    making = asyncio.create_task(events_of(pool, site.attempt()))
    await until(lambda: site.tritons[0].videos)
    assert registry.get_sample_value("i2v_triton_listed", {"backend": "triton"}) == 2
    names = ("i2v_triton_ready", "i2v_triton_slots", "i2v_triton_jobs")
    assert [registry.get_sample_value(name, labels(site, 0)) for name in names] == [1, 2, 1]
    assert [registry.get_sample_value(name, labels(site, 1)) for name in names] == [0, 2, 0]
    open_gates(site)
    await making
    assert registry.get_sample_value("i2v_triton_jobs", labels(site, 0)) == 0


async def test_workers_that_share_tritons_do_not_overload_one(site: Site) -> None:
    workers = [site.worker() for _ in range(3)]
    close_gates(site)
    attempts = [(pool, site.attempt(n, job=f"w{w}")) for n in range(4) for w, pool in enumerate(workers)]
    making = [asyncio.create_task(events_of(*each)) for each in attempts]
    await until(lambda: sum(triton.videos for triton in site.tritons) == 4)
    open_gates(site)
    for events in await asyncio.gather(*making):
        assert isinstance(events[-1], Output)
    assert [triton.videos_most for triton in site.tritons] == [2, 2]
    assert sum(len(triton.of("transformer")) for triton in site.tritons) == 12


async def test_a_worker_leaves_room_for_jobs_of_others_that_wait(site: Site) -> None:
    first, second = site.worker(), site.worker()
    close_gates(site)
    making = [asyncio.create_task(events_of(first, site.attempt(n))) for n in range(4)]
    await until(lambda: sum(triton.videos for triton in site.tritons) == 4)
    waiting = asyncio.create_task(events_of(second, site.attempt(job="waits")))
    locks = PostgresSlotLocks(site.database)
    site.stack.push_async_callback(locks.close)
    servers = {shared_name(address): 2 for address in site.addresses}
    while await locks.look(servers) != Occupancy(free=0, waiting=1):  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    making[0].cancel()
    await asyncio.wait(making[:1])
    assert await first.reserve(3, 1) == 0, "the free slot is for the job that waits"
    await until(lambda: sum(triton.videos for triton in site.tritons) == 4)
    open_gates(site)
    assert isinstance((await waiting)[-1], Output)
    await asyncio.gather(*making[1:])


async def test_a_triton_that_does_not_say_its_slots_has_those_of_the_setting(database: str, tmp_path: Path) -> None:
    async with a_site(database, tmp_path, ScriptedTriton(), ScriptedTriton(slots="many")) as site:
        pool = site.worker(slots=3)
        await pool.check()
        assert list(pool.servers.values()) == [3, 3] and pool.slots == 6


async def end_connections(database: str) -> None:
    """Ends the connections that have slots."""
    async with await psycopg.AsyncConnection.connect(database.replace("+psycopg", ""), autocommit=True) as admin:
        held = f"FROM pg_locks WHERE locktype = 'advisory' AND classid = {SLOTS}"
        await admin.execute(f"SELECT pg_terminate_backend(pid) {held}")
        while await (await admin.execute(f"SELECT 1 {held}")).fetchone():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_the_slots_of_a_worker_that_died_are_free_and_one_that_lost_its_connection_has_them_again(
    database: str,
) -> None:
    mine, others = PostgresSlotLocks(database), PostgresSlotLocks(database)
    servers = {"a:1": 1, "b:1": 1}
    assert {(await mine.take(servers)).server, (await mine.take(servers)).server} == {"a:1", "b:1"}  # type: ignore[union-attr]
    assert await mine.take(servers) is None and await others.take(servers) is None
    await end_connections(database)
    taken = await others.take({"a:1": 1})
    assert taken is not None
    with pytest.raises(Unavailable):
        await mine.look(servers)
    assert (await mine.look(servers)).free == 0
    assert (await others.look(servers)).free == 0
    others.release(taken)
    await others.close()
    await mine.close()


async def test_a_name_stands_for_its_ipv4_addresses_if_it_has_any() -> None:
    assert await resolve("localhost:8001") == ["127.0.0.1:8001"]
    assert await resolve("127.0.0.1:8001") == ["127.0.0.1:8001"]
    assert await resolve("[::1]:8001") == ["[::1]:8001"]
    assert not await resolve("tritons.invalid:8001")


def test_an_address_of_this_machine_alone_has_another_shared_name_on_each_machine() -> None:
    assert shared_name("10.0.0.1:8001") == "10.0.0.1:8001"
    assert shared_name("127.0.0.1:8001") != "127.0.0.1:8001" != shared_name("[::1]:8001")


async def test_slots_are_reserved_for_jobs_that_a_worker_is_about_to_take(site: Site) -> None:
    first, second = site.worker(), site.worker()
    assert (await first.reserve(0, 3), await second.reserve(0, 3)) == (3, 1)
    first.give_back(1)
    assert await first.reserve(2, 0) == 0  # the lock is released by then
    assert await second.reserve(1, 9) == 1
    assert await first.reserve(2, 9) == 0
    assert isinstance((await events_of(first, site.attempt()))[-1], Output)
    assert await first.reserve(1, 0) == 0
    assert await second.reserve(2, 9) == 1, "it was free again"
    for _ in range(2):  # none of its jobs came so far as to make something
        assert await second.reserve(0, 0) == 0
    assert await first.reserve(1, 9) == 3


async def test_a_cancel_while_a_slot_is_taken_or_waited_for_leaves_no_lock(site: Site) -> None:
    pool, other = site.worker(), site.worker()
    close_gates(site)
    for _ in range(3):
        making = [asyncio.create_task(events_of(pool, site.attempt(number))) for number in range(6)]
        for number, task in enumerate(making):
            await asyncio.sleep(0.01 * number)
            task.cancel()
        await asyncio.wait(making)
        for number in range(6):
            (site.folder / f"job-{number}").rmdir()
    await until(lambda: not any(triton.videos for triton in site.tritons))
    locks = PostgresSlotLocks(site.database)
    site.stack.push_async_callback(locks.close)
    servers = {shared_name(address): 2 for address in site.addresses}
    while await locks.look(servers) != Occupancy(free=4, waiting=0):  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    assert await other.reserve(0, 9) == 4


async def test_an_attempt_goes_on_elsewhere_when_its_triton_answers_nothing_at_all(site: Site) -> None:
    pool = site.worker(check_s=0.5, lost_s=0.2)
    site.listed = site.addresses[:1]
    close_gates(site)
    making = asyncio.create_task(events_of(pool, site.attempt()))
    await until(lambda: site.tritons[0].videos)
    site.tritons[0].silent.add("profile")
    with pytest.raises(Unavailable, match="said nothing"):
        await pool.check()
    with pytest.raises(Unavailable, match="does not answer") as lost:
        await making
    assert lost.value.reason == "ENGINE_UNREACHABLE"


async def test_an_attempt_that_waits_for_a_slow_model_is_not_ended_while_its_triton_answers(site: Site) -> None:
    pool = site.worker(lost_s=0.0)
    close_gates(site)
    making = asyncio.create_task(events_of(pool, site.attempt()))
    await until(lambda: sum(triton.videos for triton in site.tritons))
    for triton in site.tritons:
        triton.not_ready.add("transformer")
    with pytest.raises(Unavailable, match="not ready"):
        await pool.check()
    open_gates(site)
    assert isinstance((await making)[-1], Output)
