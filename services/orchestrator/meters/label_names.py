"""The values of the labels that callers, vendors or files of operators choose: bounded."""

from services.metrics.label_values import LabelValues
from services.reasons import REASONS

MODELS, BACKENDS, PROVIDERS, WORDS = 200, 100, 50, 500


class LabelNames:
    """What each label shows for a name. One per registry."""

    def __init__(self) -> None:
        self.model = LabelValues(MODELS).of
        self.backend = LabelValues(BACKENDS).of
        self.provider = LabelValues(PROVIDERS).of
        self.reason = LabelValues(WORDS, known={"", *map(str, REASONS)}).of
        """Vendors' words are none of ours."""
        self.word = LabelValues(WORDS).of
        """Of the code's own words."""
