"""What the meter shows of jobs: bounded labels, durations of other clocks, videos, tenants."""

import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from services.orchestrator.attempt.playback import FPS, Playback
from services.orchestrator.domain.event import JobError, VideoOutput
from services.orchestrator.domain.job import Job, State
from services.orchestrator.domain.retention import Kind
from services.orchestrator.domain.spec import Size
from services.orchestrator.media.sandbox_failures import FAILURES
from services.orchestrator.meters.engine_metrics import EngineMetrics
from services.orchestrator.meters.label_names import MODELS
from services.orchestrator.meters.operation_metrics import TASKS
from services.orchestrator.meters.sandbox_metrics import SandboxMetrics
from services.orchestrator.metrics import PrometheusMeter
from services.reasons import RequestReason
from tests.support.builders import a_job

HOSTILE = ("\ud800", "a\n# HELP x\n", "x" * 5000, "\x00", "\u202e")


class Shown:
    """A meter and what it shows."""

    def __init__(self, tenants: int = 0) -> None:
        self.registry = CollectorRegistry()
        self.meter = PrometheusMeter(self.registry, tenants)

    def __call__(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, labels)


@pytest.fixture
def shown() -> Shown:
    return Shown()


def named(model: str, **changes: object) -> Job:
    job = a_job(**changes)
    return replace(job, spec=replace(job.spec, model=model))


def failed(reason: str) -> Job:
    return replace(a_job(), state=State.FAILED, charged_micros=0, error=JobError(reason, "No.", retryable=False))


def succeeded(duration_ms: int, **changes: object) -> Job:
    job = a_job(**changes)
    output = VideoOutput("0" * 64, Size(64, 64), 17, 16.0, duration_ms, 5000)
    return replace(
        job,
        state=State.SUCCEEDED,
        output=output,
        charged_micros=job.quote_micros,
        end_time=job.create_time + timedelta(seconds=7),
    )


def test_models_beyond_the_bound_are_one(shown: Shown) -> None:
    for number in range(MODELS + 50):
        shown.meter.admitted(named(f"model-{number}"))
    assert shown("i2v_jobs_admitted_total", model="other") == 50
    assert shown("i2v_jobs_admitted_total", model=f"model-{MODELS - 1}") == 1


@pytest.mark.parametrize("model", HOSTILE, ids=ascii)
def test_a_hostile_model_or_word_breaks_no_scrape(shown: Shown, model: str) -> None:
    job = named(model)
    shown.meter.admitted(job)
    shown.meter.started(job, 1.0)
    shown.meter.fragment(job, early=True)
    shown.meter.warned(job, model)
    shown.meter.paid_call(model, "lost")
    shown.meter.acted(model, model)
    shown.meter.expected_wait(model, 1.0)
    assert shown("i2v_jobs_admitted_total", model="other") == 1
    assert shown("i2v_paid_calls_total", provider="other", step="lost") == 1
    assert list(text_string_to_metric_families(generate_latest(shown.registry).decode()))


def test_a_value_with_quotes_is_escaped(shown: Shown) -> None:
    shown.meter.admitted(named('a"} 1'))
    assert shown("i2v_jobs_admitted_total", model='a"} 1') == 1
    assert list(text_string_to_metric_families(generate_latest(shown.registry).decode()))


def test_a_vendors_own_word_is_no_reason(shown: Shown) -> None:
    shown.meter.ended(failed("made up by a vendor"))
    shown.meter.ended(failed("NO_CREDIT"))
    for reason in ("other", "NO_CREDIT"):
        assert shown("i2v_jobs_ended_total", model="test-model", state="failed", reason=reason) == 1


def test_a_negative_duration_is_not_observed(shown: Shown) -> None:
    late = replace(succeeded(1000), end_time=a_job().create_time - timedelta(minutes=3))
    shown.meter.started(a_job(), -180.0)
    shown.meter.first_fragment(a_job(), -0.001)
    shown.meter.ended(late)
    shown.meter.stopped(-1.0)
    shown.meter.started(a_job(), 0.0)
    assert shown("i2v_job_wait_seconds_count", model="test-model") == 1
    assert shown("i2v_job_first_fragment_seconds_count", model="test-model") == 0
    assert shown("i2v_job_seconds_count", model="test-model", state="succeeded") == 0
    assert shown("i2v_job_stop_seconds_count") == 0
    assert shown("i2v_charged_micros_total", model="test-model") == late.charged_micros


def test_a_quote_is_compared_with_the_charge_and_with_the_length_in_the_file(shown: Shown) -> None:
    asked = a_job().spec.duration_ms
    assert asked is not None
    job = succeeded(asked // 2)
    shown.meter.ended(job)
    assert shown("i2v_settled_quote_micros_total", model="test-model") == job.quote_micros
    assert shown("i2v_charged_micros_total", model="test-model") == job.quote_micros
    assert shown("i2v_probed_micros_total", model="test-model") == job.price_micros * (asked // 2) / asked
    assert shown("i2v_video_seconds_total", model="test-model") == asked // 2 / 1000
    assert shown("i2v_video_bytes_total", model="test-model") == 5000


def test_the_real_time_factor_is_video_for_each_second_of_work(shown: Shown) -> None:
    shown.meter.made(succeeded(3000), 2.0)
    shown.meter.made(succeeded(3000), 0.0)  # a clock that did not move says nothing
    assert shown("i2v_video_realtime_factor_sum", model="test-model") == 1.5
    assert shown("i2v_video_realtime_factor_count", model="test-model") == 1


def test_tenants_have_no_metrics_of_their_own_unless_a_setting_allows_it(shown: Shown) -> None:
    shown.meter.admitted(a_job())
    assert b'tenant="' not in generate_latest(shown.registry)


def test_only_the_first_tenants_have_a_value_of_their_own() -> None:
    shown = Shown(tenants=2)
    for tenant in ("one", "two", "three", "four", "one"):
        job = succeeded(1000, tenant=tenant)
        shown.meter.admitted(job)
        shown.meter.started(job, 2.0)
        shown.meter.first_fragment(job, 3.0)
        shown.meter.ended(job)
    for tenant, jobs in (("one", 2), ("two", 1), ("other", 2)):
        assert shown("i2v_tenant_jobs_admitted_total", tenant=tenant) == jobs
        assert shown("i2v_tenant_jobs_ended_total", tenant=tenant, state="succeeded") == jobs
        assert shown("i2v_tenant_charged_micros_total", tenant=tenant) == jobs * job.quote_micros
        assert shown("i2v_tenant_job_wait_seconds_sum", tenant=tenant) == 2 * jobs
        assert shown("i2v_tenant_first_fragment_seconds_count", tenant=tenant) == jobs
    assert b"three" not in generate_latest(shown.registry)


def test_an_engine_shows_its_steps_and_its_models() -> None:
    registry = CollectorRegistry()
    engine = EngineMetrics(registry).of("triton", "a:1")
    engine.block("nano", 0.2)
    engine.decoded("nano", 0.1, 12)
    engine.encoded("nano", -0.1, 12)
    engine.served("vae_decoder", ready=False)

    def of(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(name, {"backend": "triton", **labels})

    assert of("i2v_block_seconds_sum", model="nano") == 0.2
    assert of("i2v_decode_seconds_count", model="nano") == 1
    assert of("i2v_encode_seconds_count", model="nano") == 0
    assert of("i2v_engine_frames_total", model="nano", step="decode") == 12
    assert of("i2v_engine_model_ready", server="a:1", part="vae_decoder") == 0


def test_a_fragment_is_early_until_the_viewer_has_played_all_before_it() -> None:
    playback = Playback()
    assert playback.add(16, now=100.0) is None
    assert playback.add(16, now=101.0) is True, "just in time: 16 frames are a second"
    assert playback.add(16, now=102.1) is False
    assert playback.add(16, now=102.9) is True


@given(st.lists(st.tuples(st.integers(1, 100), st.floats(0, 60)), min_size=1, max_size=20))
def test_a_viewer_whose_fragments_are_all_early_never_waits(fragments: list[tuple[int, float]]) -> None:
    playback, now, frames = Playback(), 0.0, 0
    for count, pause in fragments:
        now += pause
        early = playback.add(count, now)
        assert early is (None if frames == 0 else now - playback.began <= frames / FPS)
        frames += count


def test_counters_of_faults_begin_at_0_so_that_the_first_fault_is_an_increase(shown: Shown) -> None:
    SandboxMetrics(shown.registry)
    shown.meter.expected_wait("triton", 1.0)
    shown.meter.admitted(named("nano"))
    for task in TASKS:
        assert shown("i2v_background_failures_total", task=task) == 0
    for kind in Kind:
        assert shown("i2v_retention_removed_total", kind=kind.value) == 0
    for failure in FAILURES:
        assert shown("i2v_sandbox_failures_total", kind="pictures", failure=failure) == 0
    for reason in (RequestReason.QUEUE_LIMIT_REACHED, RequestReason.DEADLINE_UNREACHABLE):
        assert shown("i2v_queue_refusals_total", backend="triton", reason=reason.value) == 0
    assert shown("i2v_jobs_continued_total", model="nano") == 0


def test_every_background_task_of_the_code_is_one_of_those_that_begin_at_0() -> None:
    code = "\n".join(path.read_text() for path in Path("services/orchestrator").glob("*.py"))
    started = re.findall(r'(?:run_in_background|in_background)\([^"]*?"([^"]+)"', code, re.DOTALL)
    assert len(started) > 10
    assert set(started) <= set(TASKS)
