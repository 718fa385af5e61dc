"""Says which profile this server serves, and proves that tensors arrive whole."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    """Describes the server.

    Input:
        probe    FP32  (n,)   any numbers
    Outputs:
        echo     FP32  (n,)   2 * probe: anything else means that tensors are corrupted on their way
        profile  BYTES (1,)   a JSON object: name, trained, parameters, fps, spatial_factor, temporal_factor,
                              latent_channels, block_latents, max_latents, text_length, text_dim, tokenizer,
                              clip_size, clip_mean, clip_std, steps, shift, digest
    """

    def initialize(self, args: dict[str, Any]) -> None:
        file = Path(args["model_repository"]) / args["model_version"] / "profile.json"
        profile = json.loads(file.read_text())["profile"]
        self.profile = np.array([json.dumps(profile).encode()], dtype=np.object_)

    def execute(self, requests: list[Any]) -> list[Any]:
        return [self.answer(request) for request in requests]

    def answer(self, request: Any) -> Any:
        probe = pb_utils.get_input_tensor_by_name(request, "probe").as_numpy()
        outputs = {"echo": 2 * probe, "profile": self.profile}
        return pb_utils.InferenceResponse([pb_utils.Tensor(*each) for each in outputs.items()])
