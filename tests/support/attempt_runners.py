"""Runners of attempts without a worker around them."""

from pathlib import Path

from prometheus_client import CollectorRegistry

from services.orchestrator.attempt.assembly import attempt_runner
from services.orchestrator.attempt.runner import AttemptRunner
from services.orchestrator.media.probe import keep_output, probe
from services.orchestrator.metrics import PrometheusMeter
from services.orchestrator.ports.backend import Backend
from services.orchestrator.ports.blobs import Blobs
from services.orchestrator.ports.clock_and_ids import Clock
from services.orchestrator.ports.disk_space import any_room
from services.orchestrator.ports.jobs import Jobs
from services.orchestrator.ports.media import Probe
from services.orchestrator.store.postgres_store import PostgresStore
from tests.support.builders import a_catalog
from tests.support.signers import a_signer


def an_attempt_runner(
    store: PostgresStore,
    clock: Clock,
    blobs: Blobs,
    backend: Backend,
    folder: Path,
    *,
    look: Probe = probe,
    jobs: Jobs | None = None,
) -> AttemptRunner:
    """Returns a runner with one backend for the model of `a_job`; `look` probes the finished videos."""
    return attempt_runner(
        jobs=jobs or store.jobs,
        job_events=store.job_events,
        paid_calls=store.paid_calls,
        assets=store.assets,
        blobs=blobs,
        backends={"test": backend},
        catalog=a_catalog,
        clock=clock,
        probe=look,
        keep_output=keep_output,
        signer=a_signer(),
        meter=PrometheusMeter(CollectorRegistry()),
        writer=None,
        available=lambda _: True,
        workroot=folder,
        room=any_room,
    )
