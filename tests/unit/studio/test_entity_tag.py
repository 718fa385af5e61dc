"""Entity tags of requests."""

import pytest

from services.studio.entity_tag import is_known, range_holds


@pytest.mark.parametrize("header", ['"a"', 'W/"a"', '"b", "a"', "*", ' "a" '])
def test_a_tag_that_the_client_has_is_known(header: str) -> None:
    assert is_known(header, '"a"')


@pytest.mark.parametrize("header", ["", '"b"', "a", '"aa"', '"b,a"'])
def test_another_tag_is_not_known(header: str) -> None:
    assert not is_known(header, '"a"')


def test_a_range_is_sent_of_the_same_file_only() -> None:
    assert range_holds("", '"a"')
    assert range_holds('"a"', '"a"')
    assert not range_holds('W/"a"', '"a"')
    assert not range_holds("Mon, 30 Nov 2026 12:00:00 GMT", '"a"')
