"""Triton's side of a decoder: a sequence of requests is a clip, whose feature cache stays here between them.

Serves `vae_decoder` and, loaded by that model's own file, `vae_decoder_tiny`.
"""

import json
import threading
from pathlib import Path
from typing import Any

import triton_python_backend_utils as pb_utils
from latent_decoder import BadRequest, Clips, Decoder, Device, OutOfMemory, TooManyClips


class TritonPythonModel:
    """Decodes latents to frames, one sequence per clip.

    Requests carry sequence_id, sequence_start with the first and sequence_end with the last.
    Input:
        latents  FP32  (1, C, f, h, w)   normalised, the clip's next f latent frames; f = 0 decodes nothing, and with
                                         sequence_end gives up a clip early
    Output:
        frames   UINT8 (F, 8h, 8w, 3)    RGB; F = 1 for the clip's first latent frame and 4 for each later one
    A clip is forgotten at its end, on any error, and after max_sequence_idle_microseconds without a request.
    Errors: INVALID_ARG for a wrong shape, another size than the clip began with, or an unknown clip; UNAVAILABLE when
    max_clips are held already; INTERNAL otherwise, with a text that begins with OUT_OF_MEMORY when there was no memory
    for it. Either concerns its own request only.
    """

    def initialize(self, args: dict[str, Any]) -> None:
        folder = Path(args["model_repository"]) / args["model_version"]
        config = json.loads(args["model_config"])
        setting = {name: int(value["string_value"]) for name, value in config["parameters"].items()}
        idle_s = int(config["sequence_batching"]["max_sequence_idle_microseconds"]) / 1e6
        on_gpu = args["model_instance_kind"] == "GPU"
        device = Device("cuda", int(args["model_instance_device_id"])) if on_gpu else Device()
        self.decoder = Decoder(folder, setting["intra_op_thread_count"], device)
        self.decoder.warm_up()
        counter, gauge = pb_utils.MetricFamily.COUNTER, pb_utils.MetricFamily.GAUGE
        self.families = [
            family("i2v_vae_decoder_frames_total", "Frames that were decoded.", counter),
            family("i2v_vae_decoder_sequences", "Clips whose feature cache is held.", gauge),
            family("i2v_vae_decoder_cache_bytes", "What the feature caches of these clips take.", gauge),
        ]
        self.frames, self.held, self.taken = (
            each.Metric(labels={"model": args["model_name"]}) for each in self.families
        )
        self.clips = Clips(setting["max_clips"], idle_s, watch=self.watch)
        self.stopping = threading.Event()
        self.sweeper = threading.Thread(target=self.sweep, args=(idle_s / 4,), daemon=True)
        self.sweeper.start()

    def watch(self, clips: int, size: int) -> None:
        self.held.set(clips)
        self.taken.set(size)

    def sweep(self, every_s: float) -> None:
        while not self.stopping.wait(every_s):
            self.clips.sweep()

    def execute(self, requests: list[Any]) -> list[Any]:
        return [self.answer(request) for request in requests]

    def answer(self, request: Any) -> Any:
        def tensor(name: str) -> Any:
            return pb_utils.get_input_tensor_by_name(request, name).as_numpy()

        start, end, key = (int(tensor(name).item()) for name in ("START", "END", "CORRID"))
        try:
            with self.clips.of(key, start=bool(start), end=bool(end)) as clip:
                frames = self.decoder.decode(clip, tensor("latents"))
        except BadRequest as bad:
            return failed(str(bad), pb_utils.TritonError.INVALID_ARG)
        except TooManyClips as full:
            return failed(str(full), pb_utils.TritonError.UNAVAILABLE)
        except OutOfMemory as full:
            return failed(str(full), pb_utils.TritonError.INTERNAL)
        except Exception as failure:  # the boundary of one request: others must go on
            return failed(f"{type(failure).__name__}: {failure}", pb_utils.TritonError.INTERNAL)
        self.frames.increment(len(frames))
        return pb_utils.InferenceResponse([pb_utils.Tensor("frames", frames)])

    def finalize(self) -> None:
        self.stopping.set()
        self.sweeper.join()


def failed(message: str, code: Any) -> Any:
    return pb_utils.InferenceResponse(output_tensors=[], error=pb_utils.TritonError(message, code))


def family(name: str, description: str, kind: Any) -> Any:
    """A metric's family; it must live as long as the metric."""
    return pb_utils.MetricFamily(name=name, description=description, kind=kind)
