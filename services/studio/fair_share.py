"""FairShare: something of which there is little, such as memory, of which no caller takes all."""

from collections import Counter


class FairShare:
    """What each owner has of it now.

    An owner may have a multiple of what is left for others. So the first one gets most of it and the next one still
    gets some, without a number for each (the dynamic thresholds of Choudhury and Hahne, 1998).
    """

    def __init__(self, most: int, times: int = 1) -> None:
        """An owner may have `times` what is left of `most`: alone, `times / (times + 1)` of all."""
        self._most, self._times = most, times
        self._of: Counter[str] = Counter()
        self._taken = 0

    def take(self, owner: str, amount: int) -> bool:
        """Takes an amount, and returns whether the owner may have it. `give` must follow in any case."""
        self._of[owner] += amount
        self._taken += amount
        return self._of[owner] <= self._times * (self._most - self._taken)

    def give(self, owner: str, amount: int) -> None:
        """Gives back what was taken."""
        self._taken -= amount
        self._of[owner] -= amount
        if not self._of[owner]:
            del self._of[owner]
