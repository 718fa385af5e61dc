"""The command line's options for a job, and the spec that they make."""

import errno
import math
import re
from collections.abc import Callable, Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, TypeVar

import click
from google.protobuf.duration_pb2 import Duration
from i2v.v1 import asset_pb2, job_pb2

from i2v_client import AsyncClient
from i2v_client.daemon_thread import in_daemon_thread
from i2v_client.errors import InvalidRequest
from services.blank_text import is_blank
from services.client.completion.names import completed

FITS = {"crop": job_pb2.ImageToVideo.CROP, "pad": job_pb2.ImageToVideo.PAD}
QUALITIES = {"quality": job_pb2.JobSpec.QUALITY, "fast": job_pb2.JobSpec.FAST}
OPERATIONS = ("image-to-video", "text-to-video", "scene-animation", "talking-avatar")
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
LONGEST_S = 315_576_000_000.0
"""What a protobuf Duration holds: ten thousand years. The server checks the models' own limits."""

PIPED_BYTES = 50 * 1000 * 1000
"""Limit of a piped file, which is held in memory: more than the service accepts for a picture or a sound."""

Command = TypeVar("Command", bound=Callable[..., Any])


def _size(context: click.Context, parameter: click.Parameter, value: str | None) -> tuple[int, int] | None:
    if value is None:
        return None
    if not (found := re.fullmatch(r"([0-9]{1,5})x([0-9]{1,5})", value)):
        raise click.BadParameter("give WIDTHxHEIGHT, such as 224x128")
    return int(found[1]), int(found[2])


def _seconds(context: click.Context, parameter: click.Parameter, value: float | None) -> float | None:
    if value is not None and not (math.isfinite(value) and 0 < value <= LONGEST_S):
        raise click.BadParameter("give a number of seconds, more than 0")
    return value


def _micros(context: click.Context, parameter: click.Parameter, value: str | None) -> int | None:
    if value is None:
        return None
    try:
        micros = Decimal(value) * 1_000_000
    except InvalidOperation:
        micros = Decimal("NaN")
    if not micros.is_finite() or not 0 <= micros < 2**63:
        raise click.BadParameter("give an amount such as 0.50")
    return int(micros)


def utf8(context: click.Context, parameter: click.Parameter, value: str) -> str:
    """Refuses a value that is not UTF-8."""
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise click.BadParameter("this is not UTF-8") from error
    return value


def _visible(context: click.Context, parameter: click.Parameter, value: str) -> str:
    if value and is_blank(utf8(context, parameter, value)):
        raise click.BadParameter("this text has no visible character")
    return value


def _utf8_or_none(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    return None if value is None else utf8(context, parameter, value)


def _details(context: click.Context, parameter: click.Parameter, values: Sequence[str]) -> dict[str, str]:
    found = {}
    for value in values:
        key, equals, detail = utf8(context, parameter, value).partition("=")
        if not key or not equals:
            raise click.BadParameter("give NAME=TEXT, such as Ann=a_tall_sailor")
        found[key] = detail
    return found


OPTIONS = (
    click.option("--image", type=FILE, help="The picture that moves. Without one the text alone makes the video."),
    click.option("--prompt", default="", callback=_visible, help="What happens in the video."),
    click.option(
        "--model",
        shell_complete=completed("models"),
        callback=_utf8_or_none,
        help="Default: nano, without --capability.",
    ),
    click.option("--capability", default="", callback=utf8, help="Instead of a model: the cheapest that can do this."),
    click.option("--price-max", metavar="USD", callback=_micros, help="What a capability may cost at most."),
    click.option(
        "--operation",
        type=click.Choice(OPERATIONS),
        help="Default: scene-animation with --scene, else image-to-video with --image, else text-to-video.",
    ),
    click.option("--duration", type=float, callback=_seconds, help="Seconds."),
    click.option("--size", callback=_size, help="WIDTHxHEIGHT, such as 224x128; for models of our own."),
    click.option("--resolution", default="", callback=utf8, help="Such as 720p; for remote models."),
    click.option(
        "--start-timeout",
        type=float,
        callback=_seconds,
        help="Seconds. A job that waits longer ends and costs nothing.",
    ),
    click.option("--seed", type=click.IntRange(0, 2**63 - 1), help="The same seed makes the same video."),
    click.option("--quality", type=click.Choice(list(QUALITIES)), help="`fast`: less sharp, and ready much sooner."),
    click.option(
        "--fit",
        type=click.Choice(list(FITS)),
        default="crop",
        show_default=True,
        help="How a picture of another shape than the video's is used.",
    ),
    click.option("--audio", type=FILE, help="What is spoken, or sounds."),
    click.option("--mask", type=FILE, help="White where the picture may move; of its size."),
    click.option("--negative", callback=_utf8_or_none, help="What must not appear in the video."),
    click.option("--expand/--no-expand", default=None, help="Whether the vendor may expand the prompt."),
    click.option("--guidance", type=float, help="How closely the prompt is followed, 0 to 1."),
    click.option("--scene", default="", callback=_visible, help="What happens; the prompt is written from it."),
    click.option("--story", default="", callback=utf8, help="What the scene is part of."),
    click.option("--detail", "details", multiple=True, callback=_details, help="NAME=TEXT; who is in it. Repeatable."),
)


def with_spec_options(function: Command) -> Command:
    """Adds the options for a job."""
    for option in reversed(OPTIONS):
        function = option(function)
    return function


async def spec_from_options(client: AsyncClient, **given: Any) -> job_pb2.JobSpec:
    """Uploads the files and returns the spec. An option that the operation does not have is refused.

    `library` is a LibraryDetails message.
    """
    operation = given["operation"] or (
        "scene-animation" if given["scene"] else "image-to-video" if given["image"] else "text-to-video"
    )
    _check_options(operation, given)
    files = {role: given[role] for role in ("image", "audio", "mask") if given[role] is not None}
    at = f"spec.{operation.replace('-', '_')}"
    names: dict[str, Any] = {
        role: (await upload(client, file, f"{at}.{role}", "audio/*" if role == "audio" else "image/*")).name
        for role, file in files.items()
    }
    model = given["model"] if given["model"] is not None else "" if given["capability"] else "nano"
    spec = job_pb2.JobSpec(
        model=model, capability=given["capability"], seed=given["seed"], resolution=given["resolution"]
    )
    if given["library"].ByteSize():
        spec.details.CopyFrom(given["library"])
    if given["price_max"] is not None:
        spec.price_max.CopyFrom(job_pb2.Money(amount_micros=given["price_max"], currency_code="USD"))
    if given["quality"]:
        spec.quality = QUALITIES[given["quality"]]
    if given["size"] is not None:
        spec.size.CopyFrom(job_pb2.Size(width=given["size"][0], height=given["size"][1]))
    if given["duration"] is not None:
        length = Duration()
        length.FromMilliseconds(round(given["duration"] * 1000))
        spec.duration.CopyFrom(length)
    if given["start_timeout"] is not None:
        wait = Duration()
        wait.FromMilliseconds(round(given["start_timeout"] * 1000))
        spec.start_timeout.CopyFrom(wait)
    scene = {name: given[name] for name in ("scene", "story", "details")}
    match operation:
        case "image-to-video":
            moves = job_pb2.ImageToVideo(
                prompt=given["prompt"],
                fit=FITS[given["fit"]],
                negative_prompt=given["negative"],
                prompt_expansion=given["expand"],
                guidance_scale=given["guidance"],
                **names,
            )
            spec.image_to_video.CopyFrom(moves)
        case "text-to-video":
            spec.text_to_video.prompt = given["prompt"]
        case "scene-animation":
            animated = job_pb2.SceneAnimation(
                negative_prompt=given["negative"], guidance_scale=given["guidance"], **scene, **names
            )
            spec.scene_animation.CopyFrom(animated)
        case "talking-avatar":
            spec.talking_avatar.CopyFrom(job_pb2.TalkingAvatar(prompt=given["prompt"], **scene, **names))
    return spec


async def upload(client: AsyncClient, file: Path, field: str, media_type: str = "") -> asset_pb2.Asset:
    """Uploads a file. Errors name `field`, for which the file was given."""
    try:
        return await client.upload(file if file.is_file() else await in_daemon_thread(_piped, file), media_type)
    except InvalidRequest as error:
        raise error.of_field(field) from error


def _piped(file: Path) -> bytes:
    """Reads a file that can be read only once, such as a pipe."""
    with file.open("rb") as opened:
        if len(data := opened.read(PIPED_BYTES + 1)) > PIPED_BYTES:
            raise OSError(errno.EFBIG, f"a pipe may have at most {PIPED_BYTES // 10**6} MB; name a file", str(file))
    return data


OPTIONS_OF_OPERATION = {
    "image-to-video": ("image", "prompt", "audio", "negative", "expand", "guidance"),
    "text-to-video": ("prompt",),
    "scene-animation": ("image", "scene", "story", "details", "negative", "guidance"),
    "talking-avatar": ("image", "prompt", "audio", "mask", "scene", "story", "details"),
}


def _check_options(operation: str, given: dict[str, Any]) -> None:
    own = OPTIONS_OF_OPERATION[operation]
    for name in ("image", "prompt", "audio", "mask", "negative", "expand", "guidance", "scene", "story", "details"):
        if given[name] not in (None, "", {}) and name not in own:
            option = "--detail" if name == "details" else f"--{name}"
            raise click.BadParameter(f"{operation} has none; leave it out", param_hint=option)
    needed = {"image-to-video": "image", "scene-animation": "image", "talking-avatar": "image"}.get(operation)
    if needed and given[needed] is None:
        raise click.BadParameter(f"{operation} needs one", param_hint=f"--{needed}")
    if operation == "talking-avatar" and given["audio"] is None:
        raise click.BadParameter(f"{operation} needs one", param_hint="--audio")
    if operation in ("image-to-video", "text-to-video") and not given["prompt"]:
        raise click.UsageError("Missing option '--prompt'.")
