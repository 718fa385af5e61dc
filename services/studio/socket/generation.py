"""Generation: what `start_generation` asks for. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from services.reasons import HttpReason, SocketReason
from services.studio.refused_request import RefusedRequest
from services.studio.videos import video_request
from services.studio.videos.video_request import VideoRequest

TEXT, PICTURE = "t2v", "i2v"
MODES = (TEXT, PICTURE)
IGNORED = ("enable_torch_compile", "enable_fp8", "fps", "blocks")
"""Of the original page: here they are properties of a model."""
WISHES = ("prompt", "model", "seconds", "size")
FIELDS = ("mode", *WISHES, "seed", "image", "use_taehv", "request_id", *IGNORED)
RANDOM = (-1, "-1", "", None)
"""Seeds that mean a random one."""


@dataclass(frozen=True, slots=True)
class Generation:
    """The wishes of a caller."""

    wanted: VideoRequest
    fast: bool
    """With the tiny decoder (`use_taehv`), where the model has it."""
    key: str | None
    """A word of the caller's, with which the same request makes one video."""


def mode_of(value: object) -> str:
    """Returns a mode. Raises RefusedRequest."""
    if value not in MODES:
        raise RefusedRequest(f"Give the mode {TEXT} or {PICTURE}.", reason=HttpReason.FIELD_MALFORMED, param="mode")
    return str(value)


def read(fields: Mapping[str, object], mode: str, picture: str) -> Generation:
    """Reads an event.

    Args:
        fields: Of the event.
        mode: The mode, if the event names none.
        picture: What was uploaded last, `assets/{sha256}`; empty: nothing.

    Raises:
        RefusedRequest: a field is unknown or malformed, or a picture is missing.
    """
    if unknown := sorted(set(fields) - set(FIELDS)):
        sentence = f"There is no field {unknown[0][:80]!r}; there are {', '.join(sorted(FIELDS))}."
        raise RefusedRequest(sentence, reason=HttpReason.FIELD_UNKNOWN, param=unknown[0][:80])
    mode = mode_of(fields.get("mode") or mode)
    picture = _asset(fields.get("image")) or picture
    if mode == PICTURE and not picture:
        raise RefusedRequest("Upload a picture first.", reason=SocketReason.PICTURE_REQUIRED, param="image_data")
    wishes = {name: fields[name] for name in WISHES if fields.get(name) not in (None, "") or name == "prompt"}
    if (seed := fields.get("seed")) not in RANDOM:
        wishes["seed"] = seed
    if mode == PICTURE:
        wishes["input_reference"] = {"file_id": picture}
    fast = fields.get("use_taehv", False)
    if not isinstance(fast, bool):
        raise RefusedRequest("Give true or false.", reason=HttpReason.FIELD_MALFORMED, param="use_taehv")
    return Generation(video_request.read(wishes), fast, _key(fields.get("request_id")))


def _asset(value: object) -> str:
    if value in (None, ""):
        return ""
    if not isinstance(value, str) or not (found := video_request.DIGEST.fullmatch(value)):
        sentence = "Give the asset that image_uploaded names."
        raise RefusedRequest(sentence, reason=HttpReason.FIELD_MALFORMED, param="image")
    return f"assets/{found[1]}"


def _key(value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or not 1 <= len(value) <= 255 or video_request.HALF.search(value):
        sentence = "Give a text of 1 to 255 characters, or leave it out."
        raise RefusedRequest(sentence, reason=HttpReason.FIELD_MALFORMED, param="request_id")
    return value
