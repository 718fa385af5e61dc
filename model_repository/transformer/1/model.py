"""Triton's side of the transformer: tensors in, a pipeline's blocks out, several videos at once, cancel between."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils
from bidirectional_denoiser import Denoiser
from causal_pipeline import Rollout
from cpu_priority import yield_cores
from generation_request import BadRequest, Pipeline, Request
from network_runtime import OutOfMemory
from transformer_settings import Settings

FINAL = pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL


class TritonPythonModel:
    """Denoises a video's latents, one response per block.

    Inputs:
        prompt_embeddings    FP32  (1, L, D)         from text_encoder
        negative_embeddings  FP32  (1, L, D)         what guidance leads away from; absent where there is no guidance
        image_tokens         FP32  (1, T, D')        from image_encoder; absent: no attention to a picture
        image_latent         FP32  (1, C, 1, h, w)   from vae_encoder: latent frame 0; absent: it is made too. Of a
                                                     bidirectional profile (1, C, latent_frames, h, w): the clip of the
                                                     picture and what is unknown, grey
        latent_size          INT32 (2,)              (h, w), both even
        latent_frames        INT32 (1,)              of the whole video, at most max_latents: 1 + k * block_latents; in
                                                     a profile whose first frame is not independent, k * block_latents
                                                     without image_latent
        seed                 INT64 (1,)              0 to 2**63 - 1
        history              FP32  (1, C, n, h, w)   absent, or what an interrupted run of the same request has made, in
                                                     whole blocks from the first made frame on: only the rest is made
                                                     then, with the same bytes as if nothing had been interrupted
    Responses, one for each block in order, as soon as its latents are final:
        latents              FP32  (1, C, f, h, w)   normalised; f is block_latents, or 1 for a frame 0 made alone
        start                INT32 (1,)              absolute latent frame of the first
        forwards             INT32 (1,)              of the transformer so far
        total                INT32 (1,)              forwards that the whole request takes
    A bidirectional profile makes one block of all frames, and before it, a step, a response of none.
    Then comes an empty one with FINAL. A cancel is seen before the next forward and ends the responses with FINAL.

    As many requests as the parameter `slots` are served at once, each with a KV cache of its own; the others wait
    in the order of their arrival, holding nothing, and one that is cancelled meanwhile gets its FINAL without any work.
    The bytes of a video depend neither on simultaneous nor on earlier requests.

    Errors: INVALID_ARG with a text that begins with INVALID, before any work; UNAVAILABLE with one that begins with
    OUT_OF_MEMORY where there is no memory for the video, after which the slot is made again; INTERNAL otherwise. Each
    concerns its own request only. The texts say it too, because a stream that has Triton send the codes crashes it.
    """

    def initialize(self, args: dict[str, Any]) -> None:
        folder = Path(args["model_repository"]) / args["model_version"]
        parameters = json.loads(args["model_config"])["parameters"]
        threads, slots = (int(parameters[key]["string_value"]) for key in ("intra_op_thread_count", "slots"))
        device = f"cuda:{args['model_instance_device_id']}" if args["model_instance_kind"] == "GPU" else "cpu"
        self.metrics = Metrics()
        self.workers = ThreadPoolExecutor(slots, "video", initializer=yield_cores if device == "cpu" else None)
        # In a worker: the threads that a runtime starts inherit the priority of the thread that makes it.
        self.make = self.workers.submit(maker, folder, Settings.read(folder), threads, device).result()
        self.idle: SimpleQueue[Pipeline | None] = SimpleQueue()
        for each in [self.make() for _ in range(slots)]:
            each.warm_up()
            self.metrics.hold(each)
            self.idle.put(each)

    def execute(self, requests: list[Any]) -> None:
        for request in requests:
            sender = request.get_response_sender()
            try:
                taken = read(request)
            except Exception as failure:
                finish(sender, failure)
            else:
                self.workers.submit(self.answer, taken, sender)

    def finalize(self) -> None:
        self.workers.shutdown()

    def answer(self, request: Request, sender: Any) -> None:
        """All of one request; runs in a thread of its own, of which there are as many as pipelines."""
        failure: Exception | None = None
        try:
            if not sender.is_cancelled():
                with self.pipeline() as pipeline, self.metrics.video():
                    self.stream(pipeline, request, sender)
        except Exception as caught:  # the boundary of one request: others must go on
            failure = caught
        finish(sender, failure)

    @contextmanager
    def pipeline(self) -> Iterator[Pipeline]:
        """One that is idle; if memory is exhausted, it is dropped, and the next request makes another."""
        pipeline = self.idle.get()
        try:
            pipeline = pipeline or self.make()
            yield pipeline
        except OutOfMemory:
            self.metrics.drop(pipeline)
            pipeline = None
            raise
        finally:
            self.idle.put(pipeline)

    def stream(self, pipeline: Pipeline, request: Request, sender: Any) -> None:
        began = time.monotonic()
        with closing(pipeline.blocks(request, sender.is_cancelled, self.metrics.forward)) as blocks:
            for block in blocks:
                self.metrics.hold(pipeline)
                if block.latents.shape[2]:
                    self.metrics.block(time.monotonic() - began)
                    began = time.monotonic()
                tensors = {
                    "latents": block.latents,
                    "start": np.array([block.start], np.int32),
                    "forwards": np.array([block.forwards], np.int32),
                    "total": np.array([block.total], np.int32),
                }
                sender.send(pb_utils.InferenceResponse([pb_utils.Tensor(*each) for each in tensors.items()]))


def maker(folder: Path, settings: Settings, threads: int, device: str) -> Callable[[], Pipeline]:
    """What makes the pipelines of a profile, one for each slot: they share the weights."""
    if settings.pipeline == "bidirectional":
        from bidirectional_pipeline import Diffusion

        shared = Diffusion(denoiser(folder, settings, threads, device))
        return lambda: shared
    if settings.runtime == "torch":
        runtime = torch_runtime(folder, settings, device)
    else:
        from network_runtime_onnx import OnnxRuntime

        runtime = OnnxRuntime(folder, settings, threads, device)
    return lambda: Rollout(runtime)


def denoiser(folder: Path, settings: Settings, threads: int, device: str) -> Denoiser:
    """What computes the forwards of a bidirectional profile."""
    if settings.runtime == "torch":
        from bidirectional_denoiser_torch import TorchDenoiser

        return TorchDenoiser(torch_runtime(folder, settings, device))
    from bidirectional_denoiser_onnx import OnnxDenoiser

    return OnnxDenoiser(folder, settings, threads, device)


def torch_runtime(folder: Path, settings: Settings, device: str) -> Any:
    """The profile's weights over PyTorch, which is imported only where it is wanted."""
    from network_runtime_torch import TorchRuntime

    return TorchRuntime(folder, settings, device, compile=settings.compile and device != "cpu")


def read(request: Any) -> Request:
    """The request as a pipeline takes it, in memory of its own: Triton's is not ours once `execute` has returned.

    Raises:
        BadRequest: a tensor is missing, or is not one number where one is wanted.
    """

    def tensor(name: str, size: int | None = None) -> Any:
        found = pb_utils.get_input_tensor_by_name(request, name)
        array = None if found is None else found.as_numpy().copy()
        if size is not None and (array is None or array.size != size):
            raise BadRequest(f"{name} must be {size} numbers")
        return array

    height, width = tensor("latent_size", 2).ravel().tolist()
    prompt = tensor("prompt_embeddings")
    if prompt is None:
        raise BadRequest("prompt_embeddings is missing")
    return Request(
        prompt_embeddings=prompt,
        negative_embeddings=tensor("negative_embeddings"),
        image_tokens=tensor("image_tokens"),
        image_latent=tensor("image_latent"),
        latent_size=(height, width),
        latent_frames=tensor("latent_frames", 1).item(),
        seed=tensor("seed", 1).item(),
        history=tensor("history"),
    )


def finish(sender: Any, failure: Exception | None) -> None:
    """Sends FINAL, with the error if there is one."""
    if failure is None:
        sender.send(flags=FINAL)
        return
    code = pb_utils.TritonError.INTERNAL
    text = f"{type(failure).__name__}: {failure}"
    if isinstance(failure, BadRequest):
        code, text = pb_utils.TritonError.INVALID_ARG, f"INVALID: {failure}"
    elif isinstance(failure, OutOfMemory):
        code, text = pb_utils.TritonError.UNAVAILABLE, str(failure)
    error = pb_utils.TritonError(text, code)
    sender.send(pb_utils.InferenceResponse(output_tensors=[], error=error), flags=FINAL)


class Metrics:
    """The Prometheus metrics; thread-safe."""

    def __init__(self) -> None:
        counter, gauge = pb_utils.MetricFamily.COUNTER, pb_utils.MetricFamily.GAUGE
        self.families = [
            family("i2v_transformer_forwards_total", "Forwards of the transformer that were finished.", counter),
            family("i2v_transformer_blocks_total", "Latent blocks that were made.", counter),
            family("i2v_transformer_block_seconds_total", "Seconds that they took, each from the last on.", counter),
            family("i2v_transformer_videos", "Videos that are being made.", gauge),
            family("i2v_transformer_cache_bytes", "Memory of all KV caches, kept from video to video.", gauge),
        ]
        metrics = [each.Metric(labels={}) for each in self.families]
        self.forwards, self.blocks, self.seconds, self.videos, self.cache_bytes = metrics
        self._lock = threading.Lock()
        self._making = 0
        self._held: dict[int, int] = {}

    def forward(self, forwards: int) -> None:
        with self._lock:
            self.forwards.increment(forwards)

    def block(self, seconds: float) -> None:
        with self._lock:
            self.blocks.increment(1)
            self.seconds.increment(seconds)

    @contextmanager
    def video(self) -> Iterator[None]:
        self._count(1)
        try:
            yield
        finally:
            self._count(-1)

    def hold(self, pipeline: Pipeline) -> None:
        """Takes note of what a pipeline's caches take now."""
        self._note(id(pipeline), pipeline.cache_bytes)

    def drop(self, pipeline: Pipeline | None) -> None:
        """Takes note that a pipeline is given up."""
        self._note(id(pipeline), 0)

    def _count(self, by: int) -> None:
        with self._lock:
            self._making += by
            self.videos.set(self._making)

    def _note(self, key: int, size: int) -> None:
        with self._lock:
            if self._held.get(key, 0) != size:
                self._held[key] = size
                self.cache_bytes.set(sum(self._held.values()))


def family(name: str, description: str, kind: Any) -> Any:
    """A metric's family; it must live as long as the metric."""
    return pb_utils.MetricFamily(name=name, description=description, kind=kind)
