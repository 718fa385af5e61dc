"""Puts the parts of an attempt together."""

from collections.abc import Callable, Mapping
from pathlib import Path

from services.orchestrator.attempt.event_recorder import EventRecorder
from services.orchestrator.attempt.fallback_model import FallbackModels
from services.orchestrator.attempt.final_event_recorder import FinalEventRecorder
from services.orchestrator.attempt.fragment_store import FragmentStore
from services.orchestrator.attempt.generate import Generator
from services.orchestrator.attempt.inputs import Inputs
from services.orchestrator.attempt.output_marking import OutputMarking
from services.orchestrator.attempt.output_signing import OutputSigning
from services.orchestrator.attempt.output_store import OutputStore
from services.orchestrator.attempt.paid_call_recorder import PaidCallRecorder
from services.orchestrator.attempt.runner import AttemptRunner
from services.orchestrator.attempt.signed_outputs import SignedOutputs
from services.orchestrator.attempt.written_prompt import WrittenPrompts
from services.orchestrator.domain.candidate_models import Available
from services.orchestrator.domain.catalog import Catalog
from services.orchestrator.domain.job import Job
from services.orchestrator.domain.next_event import RETRY_MOST_S
from services.orchestrator.ports.assets import Assets
from services.orchestrator.ports.backend import Backend
from services.orchestrator.ports.blobs import Blobs
from services.orchestrator.ports.clock_and_ids import Clock
from services.orchestrator.ports.content_credentials import FileSigner
from services.orchestrator.ports.disk_space import Room
from services.orchestrator.ports.job_events import JobEvents
from services.orchestrator.ports.jobs import Jobs
from services.orchestrator.ports.media import Keep, OutputMarker, Probe
from services.orchestrator.ports.meter import Meter
from services.orchestrator.ports.paid_calls import PaidCalls
from services.orchestrator.ports.prompt_writer import PromptWriter


def attempt_runner(
    *,
    jobs: Jobs,
    job_events: JobEvents,
    paid_calls: PaidCalls,
    assets: Assets,
    blobs: Blobs,
    backends: Mapping[str, Backend],
    catalog: Callable[[], Catalog],
    clock: Clock,
    probe: Probe,
    keep_output: Keep,
    signer: FileSigner,
    meter: Meter,
    writer: PromptWriter | None,
    available: Available,
    workroot: Path,
    room: Room,
    longest_retry_s: float = RETRY_MOST_S,
    finished: Callable[[Job], None] = lambda job: None,
    output_marker: OutputMarker | None = None,
) -> AttemptRunner:
    """Returns a runner, with one generator for all its attempts. `catalog` returns the one that holds now.

    Without `output_marker`, vendors' videos get no pixel mark.
    """
    event_recorder, signed_outputs = EventRecorder(jobs), SignedOutputs(blobs, assets)
    paid_call_recorder = PaidCallRecorder(jobs, meter)
    generator = Generator(
        backends=backends,
        event_recorder=event_recorder,
        paid_call_recorder=paid_call_recorder,
        prompts=WrittenPrompts(job_events, event_recorder, writer),
        inputs=Inputs(assets, blobs),
        fragments=FragmentStore(blobs, event_recorder, clock, meter),
        outputs=OutputStore(
            blobs=blobs,
            event_recorder=event_recorder,
            marking=None if output_marker is None else OutputMarking(output_marker, clock),
            signing=OutputSigning(signer, signed_outputs, clock),
            probe=probe,
            keep_output=keep_output,
            meter=meter,
        ),
        meter=meter,
        room=room,
        workroot=workroot,
    )
    fallback_models = FallbackModels(assets, catalog, clock, available)
    return AttemptRunner(
        jobs=jobs,
        job_events=job_events,
        paid_calls=paid_calls,
        blobs=blobs,
        backends=backends,
        catalog=catalog,
        clock=clock,
        meter=meter,
        generator=generator,
        paid_call_recorder=paid_call_recorder,
        signed_outputs=signed_outputs,
        final_events=FinalEventRecorder(jobs, fallback_models, clock, meter, longest_retry_s, finished),
    )
