"""The trace of one job, from the call of its caller to the vendor's video, collected over OTLP from every process."""

import asyncio
import json
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from i2v.v1 import job_pb2
from opentelemetry.sdk.trace import TracerProvider

from i2v_client import AsyncClient
from tests.support.programs import world
from tests.support.provider_and_simulator import picture
from tools.otlp_receiver import Received, receiving
from tools.simulators.llm import MODEL
from tools.trace_tree import tree

SCENE = "An old boat lies at the pier and moves with the swell"
USER = "ann-of-the-harbour"
SUBMIT = "i2v.v1.JobService/SubmitJob"
TREE = """
i2v-api SERVER i2v.v1.JobService/SubmitJob
  i2v-api PRODUCER admit
    i2v-worker CONSUMER attempt
      i2v-worker CLIENT get blob
      i2v-worker CLIENT i2v.provider.v1.PromptWriter/WritePrompt
        i2v-prompt-writer SERVER i2v.provider.v1.PromptWriter/WritePrompt
          i2v-prompt-writer CLIENT chat {model}
      i2v-worker CLIENT i2v.provider.v1.ProviderService/Generate
        i2v-provider-wavespeed SERVER i2v.provider.v1.ProviderService/Generate
          i2v-provider-wavespeed CLIENT GET /api/v3/predictions/{{task}}/result
          i2v-provider-wavespeed CLIENT GET /{{video}}
          i2v-provider-wavespeed CLIENT POST /api/v3/kwaivgi/kling-v2.5-turbo-std/image-to-video
      i2v-worker CLIENT i2v.provider.v1.ProviderService/GetCapabilities
        i2v-provider-wavespeed SERVER i2v.provider.v1.ProviderService/GetCapabilities
      i2v-worker CLIENT put blob
      i2v-worker INTERNAL check video
      i2v-worker INTERNAL sign video
        i2v-worker CLIENT put blob
    i2v-worker CONSUMER wait in queue
    i2v-worker INTERNAL poster
      i2v-worker INTERNAL rendition
        i2v-worker CLIENT get blob
        i2v-worker CLIENT put blob
"""
"""Without statements of the database, and calls of the same kind once."""
LAST = {
    ("i2v-worker", "poster", "INTERNAL"),
    ("i2v-provider-wavespeed", "i2v.provider.v1.ProviderService/Generate", "SERVER"),
    ("i2v-prompt-writer", "i2v.provider.v1.PromptWriter/WritePrompt", "SERVER"),
}
"""The spans that end last in each process."""


def one(spans: Sequence[Received], name: str, kind: str = "") -> Received:
    (found,) = (span for span in spans if span.name == name and kind in ("", span.kind))
    return found


async def test_a_job_is_one_trace_through_every_process(database: str, tmp_path: Path) -> None:
    caller = TracerProvider(shutdown_on_exit=False).get_tracer("a caller")
    async with (
        receiving() as collector,
        world(database, tmp_path, collector.environment()) as everything,
        everything.orchestrator("api") as api,
        everything.orchestrator("worker") as worker,
    ):
        async with AsyncClient(api.address, everything.key, USER) as i2v:
            image = (await i2v.upload(picture(480, 360))).name
            scene = job_pb2.SceneAnimation(image=image, scene=SCENE)
            spec = job_pb2.JobSpec(model="wavespeed-kling-2.5-turbo-std", scene_animation=scene)
            with caller.start_as_current_span("a caller's work") as span:
                job = await i2v.submit(spec)
            of_caller = span.get_span_context()
            async for _ in i2v.watch(job.name):
                pass
        trace_id = f"{of_caller.trace_id:032x}"
        await collector.until(lambda spans: {(each.service, each.name, each.kind) for each in spans} >= LAST)
        # They send their last spans now.
        assert await asyncio.gather(api.stop(), worker.stop()) == [0, 0]
    spans = [span for span in collector.spans if span.trace_id == trace_id]
    lines = [json.loads(line) for line in worker.log.read_text().splitlines() if line.startswith("{")]

    if file := os.environ.get("I2V_TEST_TRACE_FILE"):
        Path(file).write_text(json.dumps([{**vars(span), "bytes": None} for span in spans]))

    server = one(spans, SUBMIT)
    assert server.parent == f"{of_caller.span_id:016x}"
    assert tree(spans, without=("postgresql",)) == TREE.strip().format(model=MODEL)
    admission, attempt, wait = one(spans, "admit"), one(spans, "attempt"), one(spans, "wait in queue")
    assert attempt.links == (admission.span_id,)
    assert admission.start_ns <= wait.start_ns <= wait.end_ns <= attempt.start_ns + 50_000_000
    assert server.attributes["rpc.grpc.status_code"] == 0 and server.attributes["rpc.system"] == "grpc"
    assert attempt.attributes["i2v.job"] == job.name.removeprefix("jobs/")
    assert attempt.attributes["i2v.outcome"] == "Made" and not any(span.failed for span in spans)
    assert Counter(span.name for span in spans)["postgresql statement"] >= 1

    everything_sent = b"".join(span.bytes for span in collector.spans)
    secrets = [everything.key, everything.llm.key, everything.wavespeed.key, (tmp_path / "access-key").read_text()]
    for hidden in (
        *secrets,
        SCENE,
        job.output.asset,
        image.removeprefix("assets/"),
        USER,
        "Bearer",
        "SELECT",
        "INSERT",
    ):
        assert hidden.strip().encode() not in everything_sent or not hidden, hidden

    (ended,) = (line for line in lines if line["message"] == "job ended")
    assert (ended["trace_id"], ended["span_id"]) == (trace_id, attempt.span_id)
