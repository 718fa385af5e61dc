"""deploy/k8s/components/tracing: every process of ours sends its spans, and may reach the collector."""

import re
from pathlib import Path

import pytest

from services.tracing.settings import TracingSettings
from tests.support.overlays import OVERLAYS, WORKLOADS, labels, with_component

OURS = {
    "i2v-orchestrator",
    "i2v-provider-wavespeed",
    "i2v-provider-fal",
    "i2v-prompt-writer",
    "i2v-studio",
    "i2v-webhooks",
}
HASH = re.compile(r"-[a-z0-9]{10}$")
NOT_OURS = {"postgres", "s3", "triton", "migrate"}
"""What makes no spans, or ends before it would send them."""


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_process_sends_its_spans_and_may_reach_the_collector(overlay: str, tmp_path: Path) -> None:
    found = with_component(overlay, "tracing", tmp_path)
    maps = [each for each in found if each["kind"] == "ConfigMap" and "OTEL_TRACES_SAMPLER" in each.get("data", {})]
    assert {HASH.sub("", each["metadata"]["name"]) for each in maps} == OURS
    for each in maps:
        settings = TracingSettings.from_environment(each["data"])
        assert settings.endpoint == "http://otel-collector.observability.svc:4317"
        assert (settings.traces_sampler, settings.traces_sampler_arg) == ("parentbased_traceidratio", 0.01)
    (policy,) = (each for each in found if each["metadata"]["name"] == "spans-to-collector")
    (expression,) = policy["spec"]["podSelector"]["matchExpressions"]
    pods = {labels(each)["app.kubernetes.io/component"] for each in found if each["kind"] in WORKLOADS}
    assert pods - NOT_OURS == set(expression["values"])
