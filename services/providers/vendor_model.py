"""The parameters of a vendor's model with their limits, and its inputs. Pure.

The orchestrator checks the same by its card before money is reserved. This is the last check before money is spent: a
parameter that the model does not have is refused, never dropped.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from services.errors import Violation
from services.providers.task import Role, Task

MB = 1_000_000


@dataclass(frozen=True, slots=True)
class InputLimits:
    """The limits of an input."""

    media_types: tuple[str, ...]
    size_bytes: int
    required: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """One model. Limits are inclusive."""

    path: str
    """The vendor's own name of it."""
    prompt_characters: int
    prompt_required: bool = True
    negative_prompt_characters: int = 0
    """0: it takes none."""
    durations_s: tuple[int, ...] = ()
    """Empty: the audio decides."""
    resolutions: tuple[str, ...] = ()
    """Empty: it has no choice."""
    seeds: range | None = None
    """None: it takes none."""
    guidance: bool = False
    prompt_expansion: bool = False
    inputs: Mapping[Role, InputLimits] = field(default_factory=dict)
    long: bool = False
    """Whether its work may take hours, so that the longer time to watch it applies."""

    def violations(self, task: Task) -> list[Violation]:
        """Returns what is wrong with a task for this model; nothing when it may be submitted."""
        return [*self._text(task), *self._choices(task), *self._numbers(task), *self._inputs(task)]

    def _text(self, task: Task) -> Iterator[Violation]:
        if self.prompt_required and not task.prompt.strip():
            yield Violation("task.prompt", "is empty; this model needs one")
        yield from _length("task.prompt", task.prompt, self.prompt_characters)
        if task.negative_prompt is not None:
            yield from _length("task.negative_prompt", task.negative_prompt, self.negative_prompt_characters)

    def _choices(self, task: Task) -> Iterator[Violation]:
        yield from _choice("task.duration_s", task.duration_s, self.durations_s)
        yield from _choice("task.resolution", task.resolution, self.resolutions)
        if task.prompt_expansion is not None and not self.prompt_expansion:
            yield _has_none("task.prompt_expansion")

    def _numbers(self, task: Task) -> Iterator[Violation]:
        if task.seed is not None:
            if self.seeds is None:
                yield _has_none("task.seed")
            elif task.seed not in self.seeds:
                yield Violation("task.seed", f"is {task.seed}; give {self.seeds[0]} to {self.seeds[-1]}")
        if task.guidance_scale is not None:
            if not self.guidance:
                yield _has_none("task.guidance_scale")
            elif not 0 <= task.guidance_scale <= 1:
                yield Violation("task.guidance_scale", f"is {task.guidance_scale}; give 0 to 1")

    def _inputs(self, task: Task) -> Iterator[Violation]:
        for role, takes in self.inputs.items():
            if takes.required and role not in task.inputs:
                yield Violation("task.inputs", f"lack the {role.value} that this model needs")
        for role, given in task.inputs.items():
            allowed = self.inputs.get(role)
            if allowed is None:
                yield Violation("task.inputs", f"have a {role.value}; this model takes none")
            elif given.media_type not in allowed.media_types:
                names = ", ".join(allowed.media_types)
                yield Violation("task.inputs", f"have a {role.value} of another type; give {names}")
            elif not 1 <= given.size_bytes <= allowed.size_bytes:
                limit = f"give 1 to {allowed.size_bytes}"
                yield Violation("task.inputs", f"have a {role.value} of {given.size_bytes} bytes; {limit}")


def _length(field_name: str, text: str, limit: int) -> Iterator[Violation]:
    if limit == 0 and text:
        yield _has_none(field_name)
    elif len(text) > limit:
        yield Violation(field_name, f"has {len(text)} characters; give at most {limit}")
    elif "\0" in text:
        yield Violation(field_name, "has a NUL character; leave it out")


def _choice(field_name: str, given: object, choices: tuple[object, ...]) -> Iterator[Violation]:
    if choices and given not in choices:
        yield Violation(field_name, f"is not one of {', '.join(map(str, choices))}")
    elif not choices and given is not None:
        yield _has_none(field_name)


def _has_none(field_name: str) -> Violation:
    return Violation(field_name, "is no parameter of this model; leave it out")
