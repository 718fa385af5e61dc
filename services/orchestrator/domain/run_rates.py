"""Run rates: how long jobs of a kind run per second of video, as measured."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import fmean

from services.orchestrator.domain.spec import Spec


def variant(spec: Spec) -> str:
    """Returns the kind of a completed spec: jobs of one kind run equally long per second of video.

    It begins with the model.
    """
    return " ".join(each for each in (spec.model, spec.quality, spec.resolution or str(spec.size or "")) if each)


@dataclass(frozen=True, slots=True)
class RunRates:
    """The measured rates of one backend, in seconds that a job has a slot per second of video."""

    measured: Mapping[str, float] = field(default_factory=dict)
    """By variant."""

    def run_s(self, kind: str, duration_ms: int) -> float | None:
        """Returns how long a job of a variant is expected to run; None if nothing of the backend was measured.

        A variant without a measurement has the mean of its model, or else of the backend.
        """
        if not self.measured:
            return None
        rate = self.measured.get(kind)
        if rate is None:
            model = kind.partition(" ")[0]
            same = [each for name, each in self.measured.items() if name.partition(" ")[0] == model]
            rate = fmean(same or self.measured.values())
        return rate * duration_ms / 1000
