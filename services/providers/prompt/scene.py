"""What a prompt is wanted for, and what such a request may hold."""

import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from services.errors import InvalidInput, Violation
from services.reasons import PromptReason, RequestReason, SpecReason

SCENE_CHARACTERS = 4_000
STORY_CHARACTERS = 8_000
DETAILS = 16
KEY_CHARACTERS = 64
VALUE_CHARACTERS = 512
LEAST_CHARACTERS = 15
"""A prompt with fewer is useless to a model."""
MOST_CHARACTERS = 2_500
WHITE = "\n\r\t"
"""The control characters that people type."""


class Kind(StrEnum):
    """What the prompt is for."""

    ANIMATION = "animation"
    TALKING = "talking"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A scene as the caller gave it: data, also where it reads like instructions."""

    kind: Kind | None
    """None where the request named no kind that is known."""
    scene: str
    """What is to be seen and what happens, 1 to 4,000 characters."""
    story: str = ""
    """What the scene is part of, at most 8,000 characters."""
    details: Mapping[str, str] = field(default_factory=dict)
    """At most 16, keys of 1 to 64 and values of at most 512 characters."""
    max_characters: int = MOST_CHARACTERS
    """Of the prompt, 15 to 2,500."""

    def check(self) -> Kind:
        """Returns the kind. Raises InvalidInput, with every field that is wrong."""
        violations = list(self._violations())
        if self.kind is None or violations:
            raise InvalidInput(violations)
        return self.kind

    def _violations(self) -> Iterator[Violation]:
        if self.kind is None:
            yield Violation("kind", "is missing or unknown; it is ANIMATION or TALKING", PromptReason.KIND_UNKNOWN)
        if not self.scene.strip():
            yield Violation("scene", "is empty; say what is to be seen and what happens", SpecReason.SCENE_EMPTY)
        yield from _too_long("scene", self.scene, SCENE_CHARACTERS)
        yield from _too_long("story", self.story, STORY_CHARACTERS)
        if len(self.details) > DETAILS:
            yield Violation(
                "details",
                f"has {len(self.details)} entries; at most {DETAILS} are taken",
                PromptReason.TOO_MANY_DETAILS,
            )
        for number, (key, value) in enumerate(self.details.items()):
            if number == DETAILS:
                break
            if not key.strip():
                yield Violation("details", "has an entry without a name; give it one", PromptReason.DETAIL_UNNAMED)
            yield from _too_long("details", key, KEY_CHARACTERS, "has a name with")
            yield from _too_long(f"details[{key[:KEY_CHARACTERS]!r}]", value, VALUE_CHARACTERS)
        if not LEAST_CHARACTERS <= self.max_characters <= MOST_CHARACTERS:
            description = f"is {self.max_characters}; it is {LEAST_CHARACTERS} to {MOST_CHARACTERS}"
            yield Violation("max_characters", description, PromptReason.MAX_CHARACTERS_OUT_OF_RANGE)


def _too_long(name: str, text: str, limit: int, has: str = "has") -> Iterator[Violation]:
    if len(text) > limit:
        yield Violation(name, f"{has} {len(text)} characters; shorten it to {limit}", RequestReason.TEXT_TOO_LONG)
    elif any(unicodedata.category(each) == "Cc" and each not in WHITE for each in text):
        yield Violation(
            name, f"{has} control characters; only line breaks and tabs are taken", RequestReason.TEXT_MALFORMED
        )
