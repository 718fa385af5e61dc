"""The values of one label: bounded in number and form, whoever chose them.

Each value is a series that Prometheus keeps for hours, and one that cannot be encoded would break every scrape.
"""

from collections.abc import Collection

OTHER = "other"
"""The value of all that have none of their own."""
CHARACTERS = 128


class LabelValues:
    """Gives the first values that come a value of their own, and all others one. Safe from any thread."""

    def __init__(self, most: int, known: Collection[str] | None = None) -> None:
        """`most` is how many have their own. With `known`, only these have."""
        self._most, self._known = most, known
        self._seen: set[str] = set()

    def of(self, value: str) -> str:
        """Returns the value itself, or `other`."""
        if value in self._seen:
            return value
        if (
            len(self._seen) >= self._most
            or not _usable(value)
            or (self._known is not None and value not in self._known)
        ):
            return OTHER
        self._seen.add(value)
        return value


def _usable(value: str) -> bool:
    """Whether a text can stand in a scrape. Half of a surrogate pair, for example, has no encoding."""
    return len(value) <= CHARACTERS and value.isprintable()
