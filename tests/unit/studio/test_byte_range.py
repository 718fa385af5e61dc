"""Ranges of bytes in requests."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.studio.byte_range import ByteRange, UnsatisfiableError, parse

SIZES = st.integers(1, 10_000)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "bytes",
        "bytes=",
        "bytes=-",
        "bytes=a-b",
        "bytes=5-2",
        "bytes=0-1,3-4",
        "lines=0-1",
        "bytes=+1-2",
        "bytes=٣-٤",
    ],
)
def test_what_is_no_single_range_asks_for_the_whole_file(header: str) -> None:
    assert parse(header, 100) is None


@pytest.mark.parametrize("header", ["bytes=100-", "bytes=100-200", "bytes=-0", "bytes=999999999999999999-"])
def test_a_range_without_a_byte_of_the_file_cannot_be_satisfied(header: str) -> None:
    with pytest.raises(UnsatisfiableError):
        parse(header, 100)


def test_ranges_end_with_the_file() -> None:
    assert parse("bytes=0-0", 100) == ByteRange(0, 0)
    assert parse("Bytes=90-200", 100) == ByteRange(90, 99)
    assert parse("bytes=10-", 100) == ByteRange(10, 99)
    assert parse("bytes=-10", 100) == ByteRange(90, 99)
    assert parse("bytes=-1000", 100) == ByteRange(0, 99)


def test_an_empty_file_has_no_range() -> None:
    with pytest.raises(UnsatisfiableError):
        parse("bytes=0-", 0)
    with pytest.raises(UnsatisfiableError):
        parse("bytes=-1", 0)


@given(SIZES, st.integers(0, 20_000), st.integers(0, 20_000))
def test_a_range_is_what_python_slices(size: int, first: int, more: int) -> None:
    data = bytes(size)
    try:
        found = parse(f"bytes={first}-{first + more}", size)
    except UnsatisfiableError:
        assert not data[first : first + more + 1]
        return
    assert found is not None
    assert found.length == len(data[first : first + more + 1])
    assert 0 <= found.first <= found.last < size
