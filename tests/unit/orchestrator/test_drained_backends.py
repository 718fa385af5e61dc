"""What a process does with drains: which models it admits jobs for, whether its loops go on, what it knows of them."""

import asyncio
import threading
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry

from services.errors import Unavailable
from services.orchestrator.admission.preview import RequestedSpec
from services.orchestrator.domain.audit import Act
from services.orchestrator.domain.backend_state import BackendState
from services.orchestrator.domain.catalog import Catalog
from services.orchestrator.domain.remote import Tariff
from services.orchestrator.domain.spec import Spec, TalkingAvatar
from services.orchestrator.metrics import PrometheusMeter
from services.orchestrator.ports.signal import Signal
from services.orchestrator.worker.drained_backends import DrainedBackends
from services.orchestrator.worker.new_work_poller import WakeEvent
from services.reasons import RequestReason, ServiceReason
from tests.support.admission_ports import CALLER, PICTURE, SOUND, AdmissionPorts
from tests.support.builders import a_catalog, a_spec
from tests.support.remote_cards import an_avatar_card
from tests.unit.orchestrator.test_preview import a_submission, a_token

AVATAR = Spec("", TalkingAvatar(PICTURE, SOUND), capability="avatar")


def avatars() -> Catalog:
    """Two models of one capability; the cheaper one is at vendor-a."""
    cards = [an_avatar_card(name, prices={"any": Tariff(0, price)}) for name, price in (("a", 1000), ("b", 2000))]
    return a_catalog(*(replace(card, backend=f"vendor-{card.id}") for card in cards))


async def test_a_capability_gets_a_model_that_is_not_drained_and_never_the_other() -> None:
    ports = AdmissionPorts(catalog=avatars())
    token = await a_token(ports, AVATAR)
    admitter = replace(ports.admitter, drained=lambda backend: backend == "vendor-a")
    job = await admitter.admit(a_submission(AVATAR, token), CALLER)
    assert (job.spec.model, job.spec.models) == ("b", ("b",))
    assert (job.price_micros, job.quote_micros) == (2000, 2000)  # the quote of before the drain holds


@pytest.mark.parametrize(
    ("spec", "field", "model"), [(AVATAR, "spec.capability", "a"), (a_spec(), "spec.model", "test-model")]
)
async def test_a_job_is_refused_while_all_that_could_make_it_are_drained(spec: Spec, field: str, model: str) -> None:
    ports = AdmissionPorts(catalog=avatars() if spec is AVATAR else a_catalog())
    with pytest.raises(Unavailable) as caught:
        await replace(ports.admitter, drained=lambda _: True).admit(a_submission(spec, ""), CALLER)
    assert (caught.value.reason, caught.value.metadata["model"]) == (RequestReason.BACKEND_DRAINED, model)
    assert caught.value.retry_after_s == 60
    assert ports.admissions.jobs == {}
    preview = await replace(ports.previewer, drained=lambda _: True).preview(RequestedSpec(spec), CALLER)
    assert not preview.admissible and preview.quoted is None
    assert [(each.field, each.reason) for each in preview.problems] == [(field, RequestReason.BACKEND_DRAINED)]


async def test_what_is_wrong_with_a_spec_is_said_before_a_drain() -> None:
    ports = AdmissionPorts()
    spec = a_spec(duration_ms=7)
    preview = await replace(ports.previewer, drained=lambda _: True).preview(RequestedSpec(spec), CALLER)
    assert [each.field for each in preview.problems] == ["spec.duration"]


def test_a_paused_loop_does_not_go_on_until_it_is_not_paused() -> None:
    paused = threading.Event()
    paused.set()
    wake_event, went_on = WakeEvent(paused.is_set), threading.Event()

    def loop() -> None:
        assert not wake_event.wait(0)
        went_on.set()

    thread = threading.Thread(target=loop)
    thread.start()
    wake_event.wake()
    assert not went_on.wait(0.5)
    paused.clear()
    assert went_on.wait(5)
    thread.join()


def test_a_paused_loop_ends() -> None:
    wake_event = WakeEvent(lambda: True)
    wake_event.set()
    assert wake_event.wait(60)


class Drains:
    """Drains that a test sets; None: the database is away."""

    def __init__(self) -> None:
        self.now: set[str] | None = set()
        self.reads = asyncio.Semaphore(0)

    async def drained(self) -> set[str]:
        self.reads.release()
        if self.now is None:
            raise Unavailable(reason=ServiceReason.DATABASE_UNAVAILABLE)
        return set(self.now)

    @asynccontextmanager
    async def changes(self) -> AsyncIterator[Signal]:
        yield self

    async def wait(self, timeout_s: float) -> bool:
        await asyncio.sleep(0)
        return False

    async def drain(self, backend: str, act: Act) -> None: ...

    async def undrain(self, backend: str, act: Act) -> None: ...

    async def states(self) -> Mapping[str, BackendState]:
        return {}


async def test_a_drain_stays_while_the_database_is_away() -> None:
    drains, registry = Drains(), CollectorRegistry()
    backends = DrainedBackends(drains, ["triton"], PrometheusMeter(registry), every_s=0)
    await backends.refresh()
    assert registry.get_sample_value("i2v_backend_drained", {"backend": "triton"}) == 0
    watching = asyncio.create_task(backends.watch())

    async def reads() -> None:
        for _ in range(3):
            await drains.reads.acquire()

    async with asyncio.timeout(30):
        drains.now = {"vendor"}
        await reads()
        assert backends.is_drained("vendor") and not backends.is_drained("triton")
        drains.now = None
        await reads()
        assert backends.is_drained("vendor") and not watching.done()
        drains.now = {"triton"}
        await reads()
    assert backends.is_drained("triton") and not backends.is_drained("vendor")
    assert registry.get_sample_value("i2v_backend_drained", {"backend": "vendor"}) == 0
    assert registry.get_sample_value("i2v_backend_drained", {"backend": "triton"}) == 1
    watching.cancel()
    await asyncio.wait({watching})
