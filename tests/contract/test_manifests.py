"""The rendered overlays: valid for Kubernetes, and true to what our programs read and do."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml
from pydantic import SecretStr

from services.orchestrator.blob_settings import BlobSettings
from services.orchestrator.settings import Settings
from services.providers import settings as provider
from services.providers.prompt import settings as prompt_writer
from services.settings import ProcessSettings
from services.studio import settings as studio
from tests.support.overlays import (
    K8S,
    OVERLAYS,
    ROOT,
    WORKLOADS,
    containers,
    environment,
    labels,
    named,
    of_kind,
    pod,
    resources,
    with_component,
)
from tools.made_certificates import a_certificate

VERSION = "1.37"
SECRETS = "/run/secrets/i2v/"
PINNED = re.compile(r"\S+@sha256:[0-9a-f]{64}")
CUSTOM: dict[str, Any] = yaml.safe_load((ROOT / "tests/golden/custom_resources.yaml").read_text())
"""JSON schemas of what we use of custom resources, by apiVersion and kind; nothing else is allowed in them."""


def settings_of(container: dict[str, Any]) -> Callable[[dict[str, str]], ProcessSettings] | None:
    """What a container's program reads its variables with; None for programs that are not ours."""
    match container.get("command", []):
        case ["python", "-m", "services.orchestrator", *_]:
            return Settings.from_environment
        case ["python", "-m", "services.orchestrator.models", *_]:
            return lambda found: BlobSettings.read("I2V_", found, lambda name: True)
        case ["python", "-m", "services.providers", vendor]:
            return lambda found: provider.Settings.from_environment(vendor, found)
        case ["python", "-m", "services.providers.prompt"]:
            return prompt_writer.Settings.from_environment
        case ["python", "-m", "services.studio"]:
            return studio.Settings.from_environment
        case _:
            return None


def ours(overlay: str) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Each workload with a container that runs one of our programs. Only in tests: to render takes half a second."""
    for workload in of_kind(overlay, *WORKLOADS):
        yield from ((workload, each) for each in containers(workload) if settings_of(each) is not None)


def check(resource: dict[str, Any]) -> None:
    kind = f"{resource['apiVersion']}/{resource['kind']}"
    if kind in CUSTOM:
        jsonschema.validate(resource["spec"], CUSTOM[kind])
    else:
        kubernetes_validate.validate(resource, VERSION, strict=True)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_resource_of_an_overlay_is_valid_in_the_strict_sense(overlay: str) -> None:
    for resource in resources(overlay):
        check(resource)


def test_an_overlay_of_ones_own_adds_the_mesh(tmp_path: Path) -> None:
    changed = [each for each in with_component("prod", "mesh", tmp_path) if each not in resources("prod")]
    for resource in changed:
        check(resource)
    assert {each["kind"] for each in changed} == {"Namespace", "PeerAuthentication", "NetworkPolicy"}


def test_a_field_that_kubernetes_does_not_have_is_found() -> None:
    service = named("dev", "Service", "i2v-api")
    with pytest.raises(kubernetes_validate.ValidationError):
        check(service | {"spec": service["spec"] | {"clusterip": "None"}})


def test_a_field_that_a_custom_resource_does_not_have_is_found() -> None:
    spec = named("gpu", "ScaledObject", "i2v-triton-causal-forcing")["spec"]
    with pytest.raises(jsonschema.ValidationError, match="minReplicas"):
        jsonschema.validate(spec | {"minReplicas": 1}, CUSTOM["keda.sh/v1alpha1/ScaledObject"])


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_no_two_resources_of_an_overlay_have_the_same_name(overlay: str) -> None:
    names = [(each["kind"], each["metadata"]["name"]) for each in resources(overlay)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_our_programs_accept_every_variable_of_the_manifests(overlay: str, tmp_path: Path) -> None:
    cert, key = a_certificate(tmp_path)
    files = {"tls.crt": cert.read_text(), "ca.crt": cert.read_text(), "tls.key": key.read_text()}
    read = []
    for number, (workload, container) in enumerate(ours(overlay)):
        found = environment(overlay, container)
        for name, value in found.items():
            if value.startswith(SECRETS):
                file = tmp_path / str(number) / value.removeprefix(SECRETS)
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(files.get(file.name, "postgresql://i2v@postgres/i2v"))
                found[name] = str(file)
        program = settings_of(container)
        assert program is not None
        program(found)
        read.append(workload)
    assert read


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_file_of_a_setting_is_mounted(overlay: str) -> None:
    """Also that a volume has the file: by its items, its Secret, or the custom resource that makes the Secret."""
    for workload, container in ours(overlay):
        demand_mounts(overlay, workload, container)


def demand_mounts(overlay: str, workload: dict[str, Any], container: dict[str, Any]) -> None:
    mounts = {each["mountPath"]: each["name"] for each in container["volumeMounts"]}
    volumes = {each["name"]: each for each in pod(workload)["volumes"]}
    only = "I2V_S3_" if "services.orchestrator.models" in container["command"] else ""
    for name, value in environment(overlay, container).items():
        if not value.startswith((SECRETS, "/etc/i2v/")) or not name.startswith(only):
            continue
        folder, _, file = value.rpartition("/")
        if value in mounts:
            continue
        volume = volumes[mounts[folder]]
        keys = keys_of(overlay, volume)
        assert keys is None or file in keys, f"{volume} has no {file}"


def keys_of(overlay: str, volume: dict[str, Any]) -> set[str] | None:
    """The files of a volume; None if they are made by hand, or by an operator in a form of its own."""
    if "configMap" in volume:
        return set(named(overlay, "ConfigMap", volume["configMap"]["name"])["data"])
    secret = volume["secret"]
    if "items" in secret:
        return {item["path"] for item in secret["items"]}
    for each in of_kind(overlay, "Secret", "ExternalSecret"):
        if each["metadata"]["name"] == secret["secretName"]:
            data = each["spec"]["data"] if each["kind"] == "ExternalSecret" else each["data"]
            return {entry["secretKey"] for entry in data} if isinstance(data, list) else set(data)
    made = [each["spec"]["secretName"] for each in of_kind(overlay, "Certificate")]
    assert secret["secretName"] in made or overlay == "single-node"
    return {"tls.crt", "tls.key", "ca.crt"} if secret["secretName"] in made else None


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_no_secret_is_a_variable_and_no_pod_has_a_token_or_the_variables_of_services(overlay: str) -> None:
    for workload in of_kind(overlay, *WORKLOADS):
        assert pod(workload)["enableServiceLinks"] is False
        assert pod(workload)["automountServiceAccountToken"] is False
        account = named(overlay, "ServiceAccount", pod(workload)["serviceAccountName"])
        assert account["automountServiceAccountToken"] is False
        for container in containers(workload):
            assert not any("secretKeyRef" in each.get("valueFrom", {}) for each in container.get("env", []))
            assert not any("secretRef" in each for each in container.get("envFrom", []))
            assert container["securityContext"]["readOnlyRootFilesystem"] is True


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_process_has_the_time_that_its_own_stop_takes(overlay: str) -> None:
    def seconds(container: dict[str, Any], *names: str) -> float:
        found = environment(overlay, container)
        values = [float(value) for key, value in found.items() if key.endswith(names)]
        assert len(values) == len(names)
        return sum(values)

    for workload in of_kind(overlay, "Deployment", "StatefulSet"):
        container, grace_s = pod(workload)["containers"][0], pod(workload)["terminationGracePeriodSeconds"]
        component = labels(workload)["app.kubernetes.io/component"]
        match component.split("-")[0]:
            case "api" | "prompt" | "studio":
                assert grace_s >= seconds(container, "_DRAIN_DELAY_S", "_DRAIN_S") + 10
            case "webhooks":
                assert grace_s >= seconds(container, "_WEBHOOK_TIMEOUT_S") + 20
            case "worker":
                assert grace_s >= seconds(container, "_DRAIN_DELAY_S", "_DRAIN_S") + 30
            case "provider":
                assert grace_s >= seconds(container, "_DRAIN_DELAY_S", "_SETTLE_S") + 10
            case "triton":
                command = container["lifecycle"]["preStop"]["exec"]["command"]
                assert command[:2] == ["python3", "/etc/i2v/hooks/wait_until_idle.py"]
                ends_s = [int(each.partition("=")[2]) for each in container["command"] if "exit-timeout" in each]
                assert grace_s >= int(command[2]) + sum(ends_s) + 30


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_probes_ask_the_health_port_and_mean_three_things(overlay: str) -> None:
    for workload, container in ours(overlay):
        if workload["kind"] != "Job" and container in pod(workload)["containers"]:
            demand_probes(overlay, container)


def demand_probes(overlay: str, container: dict[str, Any]) -> None:
    listens = [value for name, value in environment(overlay, container).items() if name.endswith("HEALTH_LISTEN")]
    assert listens == ["0.0.0.0:8081"]
    for probe, path in (("startupProbe", "/startupz"), ("readinessProbe", "/readyz"), ("livenessProbe", "/livez")):
        assert container[probe]["httpGet"] == {"path": path, "port": 8081}
    live = container["livenessProbe"]
    assert live["periodSeconds"] * live["failureThreshold"] >= 60


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_services_budgets_and_scalers_name_workloads_that_exist(overlay: str) -> None:
    workloads = of_kind(overlay, *WORKLOADS)
    for service in of_kind(overlay, "Service"):
        found = [each for each in workloads if service["spec"]["selector"].items() <= labels(each).items()]
        assert len(found) == 1
        ports = {port["name"] for port in pod(found[0])["containers"][0]["ports"]}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports
    for budget in of_kind(overlay, "PodDisruptionBudget"):
        selector = budget["spec"]["selector"]["matchLabels"].items()
        assert len([each for each in workloads if selector <= labels(each).items()]) == 1
    for scaler in of_kind(overlay, "HorizontalPodAutoscaler", "ScaledObject"):
        target = scaler["spec"]["scaleTargetRef"]
        # Otherwise each apply would set the number of replicas back.
        assert "replicas" not in named(overlay, target["kind"], target["name"])["spec"]


@pytest.mark.parametrize("overlay", ["prod", "gpu"])
def test_images_of_production_are_pinned_by_digest(overlay: str) -> None:
    for workload in of_kind(overlay, *WORKLOADS):
        assert all(PINNED.fullmatch(container["image"]) for container in containers(workload))


def test_processes_of_a_cluster_leave_the_schema_to_the_job() -> None:
    for overlay in OVERLAYS:
        for workload in of_kind(overlay, "Deployment", "StatefulSet"):
            found = environment(overlay, pod(workload)["containers"][0])
            assert "I2V_DATABASE_URL_FILE" not in found or found["I2V_MIGRATE"] == "false"


@pytest.mark.parametrize("program", [Settings, provider.Settings, prompt_writer.Settings, studio.Settings])
def test_every_secret_can_be_a_file(program: type[ProcessSettings]) -> None:
    fields = program.model_fields
    secret = {name for name, field in fields.items() if field.annotation is SecretStr} | {"database_url"} & set(fields)
    assert {name for name in secret if f"{name}_file" not in fields} == set()


def test_scaling_counts_metrics_that_exist() -> None:
    query = named("gpu", "ScaledObject", "i2v-triton-causal-forcing")["spec"]["triggers"][0]["metadata"]["query"]
    metrics = set(re.findall(r"i2v_\w+", query))
    assert metrics and all(f"| `{name}` |" in (ROOT / "docs/metrics.md").read_text() for name in metrics)


def test_the_alerts_find_their_jobs_by_the_names_that_pods_get() -> None:
    rules = named("prod", "PodMonitor", "i2v")["spec"]["podMetricsEndpoints"][0]["relabelings"]
    given = set()
    for workload in of_kind("gpu", "Deployment", "StatefulSet"):
        component = labels(workload)["app.kubernetes.io/component"]
        found = [(re.fullmatch(each["regex"], component), each["replacement"]) for each in rules]
        [job] = [match.expand(name.replace("$", "\\")) for match, name in found if match]
        given.add(job)
    expected = {
        each["job_name"]
        for each in yaml.safe_load((ROOT / "deploy/monitoring/prometheus.yaml").read_text())["scrape_configs"]
    }
    assert {name for name in expected if name.startswith("i2v-") or name == "triton"} <= given


def test_every_component_is_part_of_an_overlay_or_documented() -> None:
    used = "".join(file.read_text() for file in (K8S / "overlays").glob("*/kustomization.yaml"))
    page = (ROOT / "docs/kubernetes.md").read_text()
    names = [folder.name for folder in (K8S / "components").iterdir() if folder.name != "triton-hooks"]
    assert all(f"components/{name}\n" in used or f"components/{name}`" in page for name in names)
