"""Rendered manifests as pods that podman can play."""

from base64 import b64encode
from pathlib import Path
from typing import Any

from tools.containers import pod_manifests

LABELS = {"app": "i2v", "part": "worker"}


def workload(kind: str, **spec: Any) -> dict[str, Any]:
    container = {
        "name": "main",
        "image": "registry.example/i2v/orchestrator:1@sha256:00",
        "env": [
            {"name": "I2V_WORKER_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {"name": "PLAIN", "value": "x"},
        ],
        "readinessProbe": {"httpGet": {"port": 8081, "path": "/readyz"}},
        "livenessProbe": {"httpGet": {"port": 8081, "path": "/livez"}},
        "securityContext": {"readOnlyRootFilesystem": True},
    }
    pod = {
        "containers": [container],
        "securityContext": {"runAsUser": 10001, "fsGroup": 10001},
        "terminationGracePeriodSeconds": 60,
    }
    template = {"metadata": {"labels": LABELS}, "spec": pod}
    return {"kind": kind, "metadata": {"name": "worker"}, "spec": {"template": template, **spec}}


def service(**selector: str) -> dict[str, Any]:
    return {"kind": "Service", "metadata": {"name": "i2v-worker", "namespace": "i2v"}, "spec": {"selector": selector}}


def test_a_workload_becomes_its_replicas_with_stable_names() -> None:
    names = [pod.name for pod in pod_manifests.pods([workload("StatefulSet", replicas=2), workload("Job")])]
    assert names == ["worker-0", "worker-1", "worker"]
    assert [pod.ends for pod in pod_manifests.pods([workload("Job")])] == [True]


def test_a_pod_keeps_what_kubernetes_asks_and_how_long_it_may_drain() -> None:
    (pod,) = pod_manifests.pods([workload("Deployment")])
    assert pod.readiness == {"httpGet": {"port": 8081, "path": "/readyz"}}
    assert pod.grace_s == 60


def test_what_podman_plays_has_no_probe_and_the_image_and_the_values_of_this_machine() -> None:
    (pod,) = pod_manifests.pods([workload("StatefulSet")])
    aliases = [("10.0.0.9", ["postgres"])]
    played = pod_manifests.playable(pod, {"i2v/orchestrator": "localhost/o:1"}, aliases, "10.0.0.2", Path("/var/i2v"))
    (container,) = played["spec"]["containers"]
    assert container["image"] == "localhost/o:1"
    assert not {"readinessProbe", "livenessProbe"} & set(container)
    assert container["env"] == [{"name": "I2V_WORKER_NAME", "value": "worker-0"}, {"name": "PLAIN", "value": "x"}]
    assert container["securityContext"] == {"readOnlyRootFilesystem": True, "runAsUser": 10001}
    assert played["spec"]["hostAliases"] == [{"ip": "10.0.0.9", "hostnames": ["postgres"]}]
    assert "readinessProbe" in pod.spec["containers"][0]


def test_a_service_names_the_pods_that_it_selects() -> None:
    documents = [workload("StatefulSet", replicas=2), service(part="worker"), service(part="other")]
    addresses = {"worker-0": "10.0.0.2", "worker-1": "10.0.0.3"}
    found = pod_manifests.hosts(documents, addresses)
    assert [(address, names[0], names[-1]) for address, names in found] == [
        ("10.0.0.2", "i2v-worker", "worker-0.i2v-worker"),
        ("10.0.0.3", "i2v-worker", "worker-1.i2v-worker"),
    ]
    assert "i2v-worker.i2v.svc.cluster.local" in found[0][1]


def test_each_pod_of_a_set_has_a_claim_of_its_own() -> None:
    claims = [{"metadata": {"name": "data"}, "spec": {"resources": {"requests": {"storage": "1Gi"}}}}]
    documents = [workload("StatefulSet", replicas=2, volumeClaimTemplates=claims)]
    assert [each["metadata"]["name"] for each in pod_manifests.shared(documents)] == ["data-worker-0", "data-worker-1"]
    volumes = [pod.spec["volumes"] for pod in pod_manifests.pods(documents)]
    assert volumes[1] == [{"name": "data", "persistentVolumeClaim": {"claimName": "data-worker-1"}}]


def test_volumes_of_secrets_and_in_memory_become_folders_with_the_secrets_files() -> None:
    document = workload("Deployment")
    document["spec"]["template"]["spec"]["volumes"] = [
        {"name": "key", "secret": {"secretName": "s3"}},
        {
            "name": "all",
            "projected": {"sources": [{"configMap": {"name": "c", "items": [{"key": "a", "path": "b/a"}]}}]},
        },
        {"name": "shm", "emptyDir": {"medium": "Memory"}},
        {"name": "tmp", "emptyDir": {}},
    ]
    secret = {"kind": "Secret", "metadata": {"name": "s3"}, "data": {"key": b64encode(b"hidden").decode()}}
    settings = {"kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"a": "x", "unused": "y"}}
    (pod,) = pod_manifests.pods([document])
    files = pod_manifests.projected_files(pod, [secret, settings])
    assert files == {"key": {"key": b"hidden"}, "all": {"b/a": b"x"}}
    played = pod_manifests.playable(pod, {"i2v/orchestrator": "o"}, [], "10.0.0.2", Path("/var/i2v"))
    folders = [each.get("hostPath", {}).get("path") for each in played["spec"]["volumes"]]
    assert folders == ["/var/i2v/key", "/var/i2v/all", "/var/i2v/shm", None]


def test_what_is_scaled_has_its_fewest_replicas() -> None:
    scaler = {
        "kind": "HorizontalPodAutoscaler",
        "spec": {"scaleTargetRef": {"name": "worker"}, "minReplicas": 3},
        "metadata": {"name": "worker"},
    }
    assert len(pod_manifests.pods([workload("Deployment"), scaler])) == 3
