"""The models of WaveSpeed, with the limits of their parameters and inputs."""

from collections.abc import Mapping

from services.providers.task import Role
from services.providers.vendor_model import MB, InputLimits, Model

SEEDS = range(2**31)
PICTURES = ("image/png", "image/jpeg", "image/webp")
SOUNDS = ("audio/mpeg", "audio/wav", "audio/ogg", "audio/aac", "audio/flac", "audio/mp4")

MODELS: Mapping[str, Model] = {
    "wan-2.5": Model(
        path="alibaba/wan-2.5/image-to-video",
        prompt_characters=2000,
        negative_prompt_characters=500,
        durations_s=(5, 10),
        resolutions=("480p", "720p", "1080p"),
        seeds=SEEDS,
        prompt_expansion=True,
        inputs={
            Role.IMAGE: InputLimits(PICTURES, 10 * MB, required=True),
            Role.AUDIO: InputLimits(("audio/mpeg", "audio/wav"), 15 * MB),
        },
    ),
    "kandinsky-5-pro": Model(
        path="wavespeed-ai/kandinsky5-pro/image-to-video",
        prompt_characters=2000,
        durations_s=(5,),
        resolutions=("512p", "1024p"),
        inputs={Role.IMAGE: InputLimits(PICTURES, 10 * MB, required=True)},
    ),
    "kling-2.5-turbo-std": Model(
        path="kwaivgi/kling-v2.5-turbo-std/image-to-video",
        prompt_characters=2500,
        negative_prompt_characters=2500,
        durations_s=(5, 10),
        guidance=True,
        inputs={Role.IMAGE: InputLimits(("image/png", "image/jpeg"), 10 * MB, required=True)},
    ),
    "infinitetalk": Model(
        path="wavespeed-ai/infinitetalk",
        prompt_characters=2000,
        prompt_required=False,
        resolutions=("480p", "720p"),
        seeds=SEEDS,
        inputs={
            Role.IMAGE: InputLimits(PICTURES, 10 * MB, required=True),
            Role.AUDIO: InputLimits(SOUNDS, 50 * MB, required=True),
            Role.MASK: InputLimits(PICTURES, 10 * MB),
        },
        long=True,
    ),
}
