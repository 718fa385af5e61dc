"""A request by which to probe the transformer."""

from typing import Any

import numpy as np

from services.orchestrator.backends.triton_client import Array, request


def transformer_probe() -> Any:
    """Returns a request that the transformer refuses before any work. See TritonClient.probe_model."""
    tensors: dict[str, Array] = {
        "prompt_embeddings": np.zeros((1, 1, 1), np.float32),
        "latent_size": np.zeros(2, np.int32),
        "latent_frames": np.zeros(1, np.int32),
        "seed": np.zeros(1, np.int64),
    }
    return request("transformer", tensors, triton_enable_empty_final_response=True)
