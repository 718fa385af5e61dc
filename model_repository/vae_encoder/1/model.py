"""Triton's side of the encoder: a picture in, the latents of the clip that begins with it out."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils
from picture_encoder import BadRequest, Encoder


class TritonPythonModel:
    """Encodes a picture to latents.

    Inputs:
        pixels         FP32  (1, 3, H, W)         in [-1, 1]; both sides multiples of 16
        latent_frames  INT32 (1,)                 how many to make; absent: 1. More than 1 in profiles of the
                                                  bidirectional pipeline alone
    Output:
        latent         FP32  (1, C, F, H/8, W/8)  normalised mean; frame 0 is the picture's, each later one that of four
                                                  mid-grey frames (0.0) after it
    Errors: INVALID_ARG for what cannot be encoded; INTERNAL otherwise. Either concerns its own request only.
    """

    def initialize(self, args: dict[str, Any]) -> None:
        folder = Path(args["model_repository"]) / args["model_version"]
        parameters = json.loads(args["model_config"])["parameters"]
        device = f"cuda:{args['model_instance_device_id']}" if args["model_instance_kind"] == "GPU" else "cpu"
        self.encoder = Encoder(folder, int(parameters["intra_op_thread_count"]["string_value"]), device)
        self.encoder.warm_up()

    def execute(self, requests: list[Any]) -> list[Any]:
        return [self.answer(request) for request in requests]

    def answer(self, request: Any) -> Any:
        try:
            latent = self.encoder.encode(*read(request))
        except BadRequest as bad:
            return failed(str(bad), pb_utils.TritonError.INVALID_ARG)
        except Exception as failure:  # the boundary of one request: others must go on
            return failed(f"{type(failure).__name__}: {failure}", pb_utils.TritonError.INTERNAL)
        return pb_utils.InferenceResponse([pb_utils.Tensor("latent", latent)])


def read(request: Any) -> tuple[Any, int]:
    """Pixels, and how many latent frames are wanted.

    Raises:
        BadRequest: latent_frames is not one number.
    """
    pixels = pb_utils.get_input_tensor_by_name(request, "pixels").as_numpy()
    frames = pb_utils.get_input_tensor_by_name(request, "latent_frames")
    wanted = np.ones(1) if frames is None else frames.as_numpy()
    if wanted.size != 1:
        raise BadRequest("latent_frames must be one number")
    return np.ascontiguousarray(pixels), int(wanted.item())


def failed(message: str, code: Any) -> Any:
    return pb_utils.InferenceResponse(output_tensors=[], error=pb_utils.TritonError(message, code))
