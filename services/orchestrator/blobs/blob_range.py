"""Which ranges of a blob can be read."""


def check_range(offset: int, length: int | None) -> None:
    """Raises ValueError for a range that is none: a negative offset, or a length below 1."""
    if offset < 0:
        raise ValueError(f"an offset is not negative: {offset}")
    if length is not None and length < 1:
        raise ValueError(f"a length is at least 1: {length}")
