"""The prompt that needs no language model. The same scene gives the same prompt, always.

It describes what is seen in the caller's own words, as far as there is room, and the motion in ours.
"""

import re
import unicodedata

from services.providers.prompt.scene import LEAST_CHARACTERS, Kind, Scene

TALKING_CHARACTERS = 350
"""A talking head gains nothing from a longer one."""
MOTIONS = {
    Kind.ANIMATION: (
        "The camera pushes in slowly with a slight parallax, figures move calmly and naturally, cloth, hair and leaves "
        "stir in the air, and the light stays steady.",
        "Slow push-in of the camera, calm natural movement, steady light.",
        "Calm movement, slow push-in.",
        "Gentle movement",
    ),
    Kind.TALKING: (
        "The person speaks to the viewer with a lively face, natural blinking, small movements of head and hands, in a "
        "calm, friendly manner. The camera stays still and the light does not change.",
        "Speaks to the viewer, lively face, small gestures, still camera.",
        "Speaks calmly to the viewer.",
        "Speaks naturally",
    ),
}
"""From the longest to one that fits into every limit."""
SHORTEST = {Kind.ANIMATION: "Subtle movement", Kind.TALKING: "Natural talking"}
NEGATIVE_PROMPT = "blur, flicker, distorted faces, extra fingers, extra limbs, lettering, subtitles, watermark"
MARKUP = frozenset("<>{}[]|\\`*#")
"""Signs that no prompt has."""


def from_template(kind: Kind, scene: Scene) -> str:
    """Returns a prompt of 15 to `max_characters` characters, without markup and control characters."""
    room = min(scene.max_characters, TALKING_CHARACTERS) if kind is Kind.TALKING else scene.max_characters
    motion = next((each for each in MOTIONS[kind] if len(each) <= room * 2 // 3), SHORTEST[kind])
    text = _cut(plain(scene.scene), room - len(motion) - 2)
    if text and text[-1] not in ".!?…。！？":
        text += "."
    prompt = f"{text} {motion}" if text else motion
    for key, value in sorted(scene.details.items()):
        detail = f" {plain(key)}: {plain(value).rstrip('.')}."
        if plain(value) and len(prompt) + len(detail) <= room:
            prompt += detail
    return prompt


def plain(text: str) -> str:
    """Returns the text on one line, without markup and without signs that cannot be seen."""
    kept = (" " if each.isspace() else each for each in text if each.isspace() or _is_plain(each))
    return re.sub(r" {2,}", " ", "".join(kept)).strip()


def _is_plain(sign: str) -> bool:
    return sign not in MARKUP and unicodedata.category(sign)[0] != "C"


def _cut(text: str, room: int) -> str:
    """Returns the text's beginning: whole sentences if that is much of it, whole words otherwise."""
    if len(text) <= room:
        return text
    if room < LEAST_CHARACTERS // 2:
        return ""
    begin = text[: room + 1]
    sentences = max(begin[:-1].rfind(end) for end in (". ", "! ", "? "))
    if sentences + 1 >= room // 2:
        return begin[: sentences + 1]
    return begin.rpartition(" ")[0].rstrip(" ,;:-") or begin[:room]
