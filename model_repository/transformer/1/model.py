"""Triton's side of the transformer: tensors in, the rollout's blocks out, cancel between."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils
from rollout import BadRequest, Request, Rollout

FINAL = pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL


class TritonPythonModel:
    """Denoises a video's latents, one response per block.

    Inputs:
        prompt_embeddings  FP32  (1, L, D)         from text_encoder
        image_tokens       FP32  (1, T, D')        from image_encoder; absent: no attention to a picture
        image_latent       FP32  (1, C, 1, h, w)   from vae_encoder: latent frame 0; absent: it is made, a block of one
        latent_size        INT32 (2,)              (h, w), both even
        latent_frames      INT32 (1,)              of the whole video: 1 + k * block_latents, at most max_latents
        seed               INT64 (1,)              0 to 2**63 - 1
        history            FP32  (1, C, n, h, w)   absent, or what an interrupted run of the same request has made, in
                                                   whole blocks from the first made frame on: only the rest is made
                                                   then, with the same bytes as if nothing had been interrupted
    Responses, one for each block in order, as soon as its latents are final:
        latents            FP32  (1, C, f, h, w)   normalised; f is block_latents, or 1 for a made frame 0
        start              INT32 (1,)              absolute latent frame of the first
        forwards           INT32 (1,)              of the transformer so far
    then an empty one with FINAL. A cancel is seen before the next forward and ends the responses with FINAL.
    Errors: INVALID_ARG before any work; INTERNAL otherwise. Either concerns its own request only.
    """

    def initialize(self, args: dict[str, Any]) -> None:
        folder = Path(args["model_repository"]) / args["model_version"]
        parameters = json.loads(args["model_config"])["parameters"]
        self.rollout = Rollout(folder, int(parameters["intra_op_thread_count"]["string_value"]))
        self.rollout.warm_up()
        self.families = [
            family("i2v_transformer_forwards_total", "Forwards of the transformer that were finished."),
            family("i2v_transformer_blocks_total", "Latent blocks that were made."),
        ]
        self.forwards, self.blocks = (each.Metric(labels={}) for each in self.families)

    def execute(self, requests: list[Any]) -> None:
        for request in requests:
            self.answer(request, request.get_response_sender())

    def answer(self, request: Any, sender: Any) -> None:
        error = None
        try:
            self.stream(read(request), sender)
        except BadRequest as bad:
            error = pb_utils.TritonError(str(bad), pb_utils.TritonError.INVALID_ARG)
        except Exception as failure:  # the boundary of one request: others must go on
            error = pb_utils.TritonError(f"{type(failure).__name__}: {failure}", pb_utils.TritonError.INTERNAL)
        if error is None:
            sender.send(flags=FINAL)
        else:
            sender.send(pb_utils.InferenceResponse(output_tensors=[], error=error), flags=FINAL)

    def stream(self, request: Request, sender: Any) -> None:
        for block in self.rollout.blocks(request, sender.is_cancelled, self.forwards.increment):
            self.blocks.increment(1)
            tensors = {
                "latents": block.latents,
                "start": np.array([block.start], np.int32),
                "forwards": np.array([block.forwards], np.int32),
            }
            sender.send(pb_utils.InferenceResponse([pb_utils.Tensor(*each) for each in tensors.items()]))


def read(request: Any) -> Request:
    """The request as the rollout takes it.

    Raises:
        BadRequest: a tensor is missing, or is not one number where one is wanted.
    """

    def tensor(name: str, size: int | None = None) -> Any:
        found = pb_utils.get_input_tensor_by_name(request, name)
        array = None if found is None else found.as_numpy()
        if size is not None and (array is None or array.size != size):
            raise BadRequest(f"{name} must be {size} numbers")
        return array

    height, width = tensor("latent_size", 2).ravel().tolist()
    prompt = tensor("prompt_embeddings")
    if prompt is None:
        raise BadRequest("prompt_embeddings is missing")
    return Request(
        prompt_embeddings=prompt,
        image_tokens=tensor("image_tokens"),
        image_latent=tensor("image_latent"),
        latent_size=(height, width),
        latent_frames=tensor("latent_frames", 1).item(),
        seed=tensor("seed", 1).item(),
        history=tensor("history"),
    )


def family(name: str, description: str) -> Any:
    """A counter's family; it must live as long as the counter."""
    return pb_utils.MetricFamily(name=name, description=description, kind=pb_utils.MetricFamily.COUNTER)
