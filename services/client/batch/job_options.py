"""What all jobs of a batch have in common, and the specs that follow from it."""

import json
from dataclasses import dataclass, replace

from google.protobuf.duration_pb2 import Duration
from i2v.v1 import catalog_pb2, job_pb2

from services.client.batch.row import BadInput

FRAMES_A_LATENT = 4
"""One latent is one frame, and each further latent is four, as in Wan and in Self-Forcing: 21 latents are 81 frames."""


@dataclass(frozen=True, slots=True)
class JobOptions:
    """The options of the command that decide a video."""

    model: str = "nano"
    capability: str = ""
    price_max: int | None = None
    """Micros of USD."""
    duration_ms: int | None = None
    latents: int | None = None
    """Instead of a duration."""
    size: tuple[int, int] | None = None
    resolution: str = ""
    quality: "job_pb2.JobSpec.Quality.ValueType" = job_pb2.JobSpec.QUALITY_UNSPECIFIED
    fit: "job_pb2.ImageToVideo.Fit.ValueType" = job_pb2.ImageToVideo.FIT_UNSPECIFIED
    guidance: float | None = None

    def text(self) -> str:
        """Returns all of them as a text: two batches with the same text make the same videos."""
        return json.dumps([getattr(self, name) for name in self.__slots__])

    def with_model(self, card: catalog_pb2.Model) -> "JobOptions":
        """Returns them with the duration of the latents on this model. Raises BadInput if it does not make them."""
        if self.latents is None:
            return self
        if not card.fps:
            raise BadInput(f"{self.model} does not make videos by latents; give --duration instead")
        frames = FRAMES_A_LATENT * (self.latents - 1)
        offered = {round(each.ToMilliseconds() * card.fps / 1000): each.ToMilliseconds() for each in card.durations}
        if frames not in offered:
            known = sorted(made // FRAMES_A_LATENT + 1 for made in offered if made % FRAMES_A_LATENT == 0)
            raise BadInput(f"{self.model} makes {', '.join(map(str, known))} latents, and not {self.latents}")
        return replace(self, duration_ms=offered[frames])

    def spec(self, *, prompt: str, negative: str, seed: int | None, image: str) -> job_pb2.JobSpec:
        """Returns the spec of one video; `image` is an asset, or empty for a video from the text alone."""
        spec = job_pb2.JobSpec(
            model=self.model, capability=self.capability, seed=seed, resolution=self.resolution, quality=self.quality
        )
        if image:
            moves = job_pb2.ImageToVideo(
                image=image,
                prompt=prompt,
                fit=self.fit,
                negative_prompt=negative or None,
                guidance_scale=self.guidance,
            )
            spec.image_to_video.CopyFrom(moves)
        else:
            spec.text_to_video.prompt = prompt
        if self.price_max is not None:
            spec.price_max.CopyFrom(job_pb2.Money(amount_micros=self.price_max, currency_code="USD"))
        if self.size is not None:
            spec.size.CopyFrom(job_pb2.Size(width=self.size[0], height=self.size[1]))
        if self.duration_ms is not None:
            length = Duration()
            length.FromMilliseconds(self.duration_ms)
            spec.duration.CopyFrom(length)
        return spec
