"""The network policies of the overlays: every edge that a setting names is open on both sides, and nothing else is."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.overlays import OVERLAYS, WORKLOADS, environment, labels, named, of_kind, pod

ADDRESS = re.compile(r"(?:^|=|,|@)([a-z][a-z0-9-]*):(\d+)")
"""`host:port` in the value of a setting."""
OUTSIDE = {"provider-wavespeed", "provider-fal", "prompt-writer", "webhooks"}
"""What may reach the internet."""


def selects(selector: dict[str, Any], found: dict[str, str]) -> bool:
    """Whether a selector of labels selects these."""
    wanted = selector.get("matchLabels", {}).items() <= found.items()
    return wanted and all(found.get(each["key"]) in each["values"] for each in selector.get("matchExpressions", []))


def allows(overlay: str, direction: str, here: dict[str, str], there: dict[str, str], port: int) -> bool:
    """Whether any policy lets pods with the labels `here` talk to, or hear, those with the labels `there`."""
    peers = "to" if direction == "egress" else "from"
    for policy in of_kind(overlay, "NetworkPolicy"):
        if not selects(policy["spec"]["podSelector"], here):
            continue
        for rule in policy["spec"].get(direction, []):
            pods = [peer["podSelector"] for peer in rule.get(peers, []) if set(peer) == {"podSelector"}]
            if any(selects(each, there) for each in pods) and port in [each["port"] for each in rule["ports"]]:
                return True
    return False


def edges(overlay: str) -> Iterator[tuple[str, str, int, dict[str, str], dict[str, str]]]:
    """Every edge between our pods that a setting names: source, service, port, and the labels of both sides."""
    workloads = of_kind(overlay, *WORKLOADS)
    for workload in workloads:
        values = list(environment(overlay, pod(workload)["containers"][0]).items())
        if any(name == "I2V_DATABASE_URL_FILE" for name, _ in values) and overlay in ("dev", "single-node"):
            values.append(("database", "@postgres:5432"))
        for name, value in values:
            for host, port in [] if name.endswith("LISTEN") else ADDRESS.findall(value):
                selector = named(overlay, "Service", host)["spec"]["selector"].items()
                target = next(each for each in workloads if selector <= labels(each).items())
                yield workload["metadata"]["name"], host, int(port), labels(workload), labels(target)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_edge_that_a_setting_names_is_open_on_both_sides(overlay: str) -> None:
    found = list(edges(overlay))
    assert {("i2v-worker", "i2v-prompt-writer"), ("i2v-studio", "i2v-api")} <= {each[:2] for each in found}
    for source, host, port, here, there in found:
        if host.startswith("i2v-triton") and source == "i2v-api":
            continue  # the API has the worker's settings, and does not call Triton
        assert allows(overlay, "egress", here, there, port), f"{source} may not call {host}:{port}"
        assert allows(overlay, "ingress", there, here, port), f"{host}:{port} does not hear {source}"


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_all_else_is_denied(overlay: str) -> None:
    denied = named(overlay, "NetworkPolicy", "deny-all")["spec"]
    assert denied == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_only_workers_reach_triton_and_only_its_grpc_port(overlay: str) -> None:
    tritons = [labels(each) for each in of_kind(overlay, "StatefulSet") if "i2v-profile" in labels(each)]
    assert tritons or overlay == "prod"
    for triton in tritons:
        for workload in of_kind(overlay, *WORKLOADS):
            is_worker = labels(workload)["app.kubernetes.io/component"] == "worker"
            assert allows(overlay, "ingress", triton, labels(workload), 8001) == is_worker
            assert not allows(overlay, "ingress", triton, labels(workload), 8000)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_only_providers_the_prompt_writer_and_webhooks_reach_the_internet(overlay: str) -> None:
    reach = set()
    for workload in of_kind(overlay, *WORKLOADS):
        for policy in of_kind(overlay, "NetworkPolicy"):
            if selects(policy["spec"]["podSelector"], labels(workload)):
                blocks = [
                    peer["ipBlock"]
                    for rule in policy["spec"].get("egress", [])
                    for peer in rule.get("to", [])
                    if "ipBlock" in peer
                ]
                if any(block["cidr"] == "0.0.0.0/0" for block in blocks):
                    reach.add(labels(workload)["app.kubernetes.io/component"])
    assert reach == (set() if overlay == "dev" else OUTSIDE)
