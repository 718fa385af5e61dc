"""The one error of reading weights: it says which part, which file, which tensors, and what to do."""

from collections.abc import Sequence


class WeightsError(ValueError):
    """The files that were given do not hold what is wanted of them."""


def some(names: Sequence[str], most: int = 5) -> str:
    """The first of some names, and how many there are beyond them."""
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown
