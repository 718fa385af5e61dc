"""Answers which profile this server serves, and returns a tensor that proves that tensors arrive unchanged."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import memory_check
import numpy as np
import triton_python_backend_utils as pb_utils

SHARED_MEMORY = "/dev/shm"


class TritonPythonModel:
    """Describes the server.

    Input:
        probe    FP32  (n,)   any numbers
    Outputs:
        echo     FP32  (n,)   2 * probe: anything else means that tensors are corrupted on their way
        profile  BYTES (1,)   a JSON object: name, trained, pipeline, fps, spatial_factor, temporal_factor,
                              size_multiple, latent_channels, block_latents, max_latents, independent_first_frame,
                              text_length, text_on_demand, image_encoder, decoders, steps, guidance, negative_prompt,
                              precision, runtime, memory (`served` in tools/export/build.py); digest, of all files
                              that were built and of the code that runs them
    It does not load, and so the server is not ready, when the machine has less memory than the profile takes.
    """

    def initialize(self, args: dict[str, Any]) -> None:
        file = Path(args["model_repository"]) / args["model_version"] / "profile.json"
        profile = json.loads(file.read_text())["profile"]
        memory_check.check(profile["memory"], profile["name"], memory_check.present())
        profile["digest"] = with_code(profile["digest"], Path(args["model_repository"]).parent)
        self.families = [
            family("i2v_shared_memory_free_bytes", "Free bytes in Triton's /dev/shm, when a worker last asked."),
            family("i2v_shared_memory_bytes", "The size of Triton's /dev/shm, when a worker last asked."),
        ]
        self.free, self.size = (each.Metric(labels={}) for each in self.families)
        self.profile = np.array([json.dumps(profile).encode()], dtype=np.object_)

    def execute(self, requests: list[Any]) -> list[Any]:
        found = os.statvfs(SHARED_MEMORY)
        self.free.set(found.f_bavail * found.f_frsize)
        self.size.set(found.f_blocks * found.f_frsize)
        return [self.answer(request) for request in requests]

    def answer(self, request: Any) -> Any:
        probe = pb_utils.get_input_tensor_by_name(request, "probe").as_numpy()
        outputs = {"echo": 2 * probe, "profile": self.profile}
        return pb_utils.InferenceResponse([pb_utils.Tensor(*each) for each in outputs.items()])


def family(name: str, description: str) -> Any:
    """A gauge's family; it must live as long as the gauge."""
    return pb_utils.MetricFamily(name=name, description=description, kind=pb_utils.MetricFamily.GAUGE)


def with_code(digest: str, repository: Path) -> str:
    """The digest of what was built, and of the models' code, as far as it is in the same repository."""
    whole = hashlib.sha256(digest.encode())
    for file in sorted(repository.glob("*/1/*.py")):
        whole.update(file.read_bytes())
    return whole.hexdigest()
