"""What answers cost. Whole numbers only; the sum is rounded up once."""

from dataclasses import dataclass

MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one answer."""

    read: int
    written: int


@dataclass(frozen=True, slots=True)
class Price:
    """What a million tokens cost."""

    input_micros: int
    """Of those that are read, in millionths of a unit of the currency."""
    output_micros: int
    """Of those that are written."""
    currency_code: str
    """ISO 4217."""


class Bill:
    """What the answers to one request have cost so far."""

    def __init__(self, price: Price) -> None:
        self.price = price
        self.counted = Usage(0, 0)
        """The count that the language model reports."""
        self.answers = 0
        """Answers that were paid for, whether they could be used or not."""
        self.guessed = False
        """Whether an answer came without its tokens, and is charged at the most that it can have cost."""
        self._charged = Usage(0, 0)

    def add(self, usage: Usage | None, most: Usage) -> None:
        """Adds one answer; `most` is the most that it can have had, and is used if it reports none."""
        self.answers += 1
        self.guessed = self.guessed or usage is None
        if usage is not None:
            self.counted = _sum(self.counted, usage)
        self._charged = _sum(self._charged, usage or most)

    @property
    def cost_micros(self) -> int:
        """Rounded up."""
        exact = self._charged.read * self.price.input_micros + self._charged.written * self.price.output_micros
        return -(-exact // MILLION)


def _sum(one: Usage, other: Usage) -> Usage:
    return Usage(one.read + other.read, one.written + other.written)
