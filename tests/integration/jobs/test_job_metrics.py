"""What the metrics of a running service say of jobs, money, videos and stops."""

import asyncio
import uuid

from tests.support.builders import ScriptedBackend
from tests.support.served_orchestrator import Served, text_spec


async def test_the_metrics_tell_of_jobs_and_money(i2v: Served) -> None:
    request_id = str(uuid.uuid4())
    job = await i2v.ended((await i2v.submit(text_spec(), request_id)).name)
    await i2v.submit(text_spec(), request_id)  # a repeat, and a cancel of what has ended, count as nothing
    await i2v.cancel(job.name)

    def value(name: str, **labels: str) -> float | None:
        return i2v.registry.get_sample_value(name, labels)

    async with asyncio.timeout(10):  # the worker counts a job after its end is stored, which its caller sees first
        while value("i2v_jobs_ended_total", model="test-model", state="succeeded", reason="") is None:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert value("i2v_jobs_admitted_total", model="test-model") == 1
    assert value("i2v_jobs_ended_total", model="test-model", state="succeeded", reason="") == 1
    for name in ("i2v_charged_micros_total", "i2v_settled_quote_micros_total"):
        assert value(name, model="test-model") == 1000
    for name in ("i2v_job_first_fragment_seconds_count", "i2v_video_realtime_factor_count"):
        assert value(name, model="test-model") == 1
    timed = [value("i2v_fragments_total", model="test-model", timing=each) or 0 for each in ("early", "late")]
    assert sum(timed) == 1, "of two fragments, the second"
    assert value("i2v_ledger_imbalance_accounts") == 0
    handled = {"grpc_type": "unary", "grpc_service": "i2v.v1.JobService", "grpc_method": "SubmitJob"}
    assert value("grpc_server_handled_total", grpc_code="OK", **handled) == 2


async def test_the_time_of_a_stop_is_measured(i2v: Served, backend: ScriptedBackend) -> None:
    backend.gate.clear()
    job = await i2v.submit(text_spec())
    await i2v.until(job.name, "fragment_ready")
    await i2v.cancel(job.name)
    await i2v.ended(job.name)
    async with asyncio.timeout(10):  # the worker counts a moment after its caller sees the end
        while i2v.registry.get_sample_value("i2v_job_stop_seconds_count") != 1:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
