"""Pods out of rendered Kubernetes manifests, in the form that podman can play.

podman knows Pod, ConfigMap, Secret and PersistentVolumeClaim. A Deployment, StatefulSet or Job becomes its pods, with
the names that Kubernetes gives to those of a StatefulSet. A Service becomes lines of the pods' hosts files. Probes are
taken out, for podman runs none: the caller asks what they ask. Volumes of secrets, and projected ones, become folders
that `projected_files` fills. All other kinds are left out.
"""

import base64
import copy
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Document = Mapping[str, Any]

WORKLOADS = ("Deployment", "StatefulSet", "Job")
SHARED = ("ConfigMap", "Secret", "PersistentVolumeClaim")
"""Kinds that podman makes before the pods."""
PROBES = ("startupProbe", "readinessProbe", "livenessProbe")
INHERITED = ("runAsUser", "runAsGroup", "runAsNonRoot")
"""What a container has of its pod's security context; podman looks only at the container's."""
KEPT_INIT_CONTAINERS = {"io.podman.annotations.init.container.type": "always"}
"""Otherwise podman removes them after their end, and fails if it is faster than that."""
DEFAULT_GRACE_S = 30


@dataclass(frozen=True, slots=True)
class PodManifest:
    """One pod of a workload."""

    name: str
    workload: str
    """Name of the Deployment, StatefulSet or Job."""
    ends: bool
    """Whether it runs to its end: a Job."""
    labels: Mapping[str, str]
    spec: Mapping[str, Any]
    """As Kubernetes would have it, with the probes."""

    @property
    def grace_s(self) -> int:
        """Seconds from the signal to stop until it is killed."""
        return int(self.spec.get("terminationGracePeriodSeconds", DEFAULT_GRACE_S))

    @property
    def readiness(self) -> Mapping[str, Any]:
        """The readiness probe of its first container; empty if it has none."""
        return dict(self.spec["containers"][0].get("readinessProbe", {}))


def pods(documents: Iterable[Document]) -> list[PodManifest]:
    """Returns the pods of all workloads, in the order of the documents. What is scaled has its fewest replicas."""
    kept = list(documents)
    scalers = (each["spec"] for each in kept if each["kind"] == "HorizontalPodAutoscaler")
    least = {each["scaleTargetRef"]["name"]: int(each["minReplicas"]) for each in scalers}
    return [pod for document in kept if document["kind"] in WORKLOADS for pod in _pods_of(document, least)]


def shared(documents: Iterable[Document]) -> list[Document]:
    """Returns the ConfigMaps, Secrets and claims, including one for each pod of a StatefulSet that wants one."""
    found = []
    for document in documents:
        if document["kind"] in SHARED:
            found.append(document)
        elif document["kind"] == "StatefulSet":
            for template in document["spec"].get("volumeClaimTemplates", ()):
                for pod in _pods_of(document):
                    name = f"{template['metadata']['name']}-{pod.name}"
                    claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}}
                    found.append(claim | {"spec": template["spec"]})
    return found


def hosts(documents: Iterable[Document], addresses: Mapping[str, str]) -> list[tuple[str, list[str]]]:
    """Returns address and names for the hosts files: of each pod behind a Service the names of the Service.

    `addresses` has the address of each pod, by its name.
    """
    kept = list(documents)
    found = []
    for service in (each for each in kept if each["kind"] == "Service"):
        name, space = service["metadata"]["name"], service["metadata"].get("namespace", "default")
        for pod in pods(kept):
            wanted = service["spec"].get("selector", {})
            if wanted and wanted.items() <= pod.labels.items() and pod.name in addresses:
                names = [name, f"{name}.{space}", f"{name}.{space}.svc", f"{name}.{space}.svc.cluster.local"]
                found.append((addresses[pod.name], [*names, f"{pod.name}.{name}"]))
    return found


def projected_files(pod: PodManifest, documents: Iterable[Document]) -> dict[str, dict[str, bytes]]:
    """Returns the files of each volume of secrets, and of each projected one: path and bytes, by volume."""
    kept = list(documents)
    return {
        volume["name"]: {path: content for source in _sources(volume) for path, content in _files(source, kept)}
        for volume in pod.spec.get("volumes", ())
        if _sources(volume)
    }


def memory_volumes(pod: PodManifest) -> list[str]:
    """Returns the names of the volumes in memory. podman would give them to root."""
    return [each["name"] for each in pod.spec.get("volumes", ()) if each.get("emptyDir", {}).get("medium") == "Memory"]


def playable(
    pod: PodManifest,
    images: Mapping[str, str],
    aliases: Iterable[tuple[str, list[str]]],
    address: str,
    folder: Path,
) -> Document:
    """Returns the document of a pod that podman plays.

    `images` has the image here for each name in the manifests, `folder` a folder for each volume of `projected_files`
    and of `memory_volumes`.
    """
    spec = copy.deepcopy(dict(pod.spec))
    context = spec.get("securityContext", {})
    fields = {"metadata.name": pod.name, "status.podIP": address, "metadata.namespace": "default"}
    for container in (*spec.get("initContainers", ()), *spec["containers"]):
        for each in (*PROBES, "lifecycle", "ports"):  # podman would open the ports on this machine
            container.pop(each, None)
        container["image"] = images[_repository(container["image"])]
        container["imagePullPolicy"] = "Never"
        inherited = {key: context[key] for key in INHERITED if key in context}
        container["securityContext"] = inherited | container.get("securityContext", {})
        container["env"] = [_with_field(each, fields) for each in container.get("env", ())]
    spec["volumes"] = [
        {"name": each["name"], "hostPath": {"path": str(folder / each["name"])}}
        if _sources(each) or each["name"] in memory_volumes(pod)
        else each
        for each in spec.get("volumes", ())
    ]
    spec["hostAliases"] = [{"ip": ip, "hostnames": names} for ip, names in aliases]
    # With `Always` podman would start init containers again and again.
    spec["restartPolicy"] = "Never" if pod.ends else "OnFailure"
    metadata = {"name": pod.name, "labels": dict(pod.labels), "annotations": KEPT_INIT_CONTAINERS}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def _sources(volume: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Returns the sources of a volume that podman cannot mount: a secret, or several things projected into one."""
    return [{"secret": volume["secret"]}] if "secret" in volume else volume.get("projected", {}).get("sources", [])


def _files(source: Mapping[str, Any], documents: Iterable[Document]) -> Iterator[tuple[str, bytes]]:
    ((kind, wanted),) = source.items()
    name = wanted.get("name") or wanted["secretName"]
    document = next(
        each for each in documents if each["kind"].lower() == kind.lower() and each["metadata"]["name"] == name
    )
    encoded = document.get("data", {})
    data = {
        key: base64.b64decode(text) if document["kind"] == "Secret" else text.encode() for key, text in encoded.items()
    }
    items = wanted.get("items") or [{"key": key, "path": key} for key in data]
    yield from ((item["path"], data[item["key"]]) for item in items)


def _pods_of(workload: Document, least: Mapping[str, int] | None = None) -> Iterator[PodManifest]:
    spec, name = workload["spec"], workload["metadata"]["name"]
    template = spec["template"]
    labels = template.get("metadata", {}).get("labels", {})
    ends = workload["kind"] == "Job"
    replicas = spec.get("replicas", (least or {}).get(name, 1))
    for number in range(1 if ends else int(replicas)):
        pod = name if ends else f"{name}-{number}"
        pod_spec = copy.deepcopy(template["spec"])
        volumes = [
            {"name": (claim := each["metadata"]["name"]), "persistentVolumeClaim": {"claimName": f"{claim}-{pod}"}}
            for each in spec.get("volumeClaimTemplates", ())
        ]
        if volumes:
            pod_spec["volumes"] = [*pod_spec.get("volumes", ()), *volumes]
        yield PodManifest(pod, name, ends, labels, pod_spec)


def _with_field(variable: Mapping[str, Any], fields: Mapping[str, str]) -> Mapping[str, Any]:
    """Returns a variable with its value if it takes one from the pod itself."""
    path = variable.get("valueFrom", {}).get("fieldRef", {}).get("fieldPath")
    return {"name": variable["name"], "value": fields[path]} if path else variable


def _repository(image: str) -> str:
    """Returns the name of an image without its registry, tag and digest: `i2v/studio`."""
    return "/".join(image.partition("@")[0].split("/")[-2:]).partition(":")[0]
