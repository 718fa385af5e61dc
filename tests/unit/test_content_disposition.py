"""A name for a download is kept as far as file systems and headers take it."""

import re
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.content_disposition import MAX_BYTES, content_disposition, file_name


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("", "inline"),
        ("...", "inline"),
        ("a b.mp4", 'attachment; filename="a b.mp4"'),
        ("ä.mp4", "attachment; filename=\"_.mp4\"; filename*=UTF-8''%C3%A4.mp4"),
        ("50%.mp4", "attachment; filename=\"50_.mp4\"; filename*=UTF-8''50%25.mp4"),
        ("../../etc/passwd", 'attachment; filename="_.._etc_passwd"'),
        ('a"b\\c', 'attachment; filename="a_b_c"'),
        ("a\r\nSet-Cookie: x", 'attachment; filename="aSet-Cookie_ x"'),
        ("gpj\u202e4pm.exe", 'attachment; filename="gpj4pm.exe"'),
    ],
)
def test_a_name_becomes_a_header(name: str, header: str) -> None:
    assert content_disposition(name) == header


@pytest.mark.parametrize("name", ["می\u200cخواهم.mp4", "क\u094d\u200dष.mp4", "👩\u200d👧.mp4"])
def test_the_joiners_of_a_script_are_kept(name: str) -> None:
    assert file_name(name) == name


def test_of_joiners_alone_nothing_is_left() -> None:
    assert content_disposition("\u200d\u200c ") == "inline"


def test_a_long_name_keeps_its_extension() -> None:
    name = file_name("動" * 300 + ".mp4")
    assert name.endswith("動.mp4")
    assert MAX_BYTES - 3 < len(name.encode()) <= MAX_BYTES


@given(st.text(max_size=400))
def test_any_text_becomes_a_header_of_one_line_that_says_the_name(name: str) -> None:
    header = content_disposition(name)
    assert re.fullmatch(r"[ -~]+", header)
    assert header.count('"') in (0, 2)
    if "filename*" in header:
        assert unquote(header.partition("''")[2]) == file_name(name)
    assert len(file_name(name).encode()) <= MAX_BYTES
    assert file_name(file_name(name)) == file_name(name)
