"""Pseudonyms of deleted users, and texts without the users' ids."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.orchestrator.domain.user_deletion import PSEUDONYM, pseudonym, redacted

KEY = b"k" * 32
WORDS = st.text(st.characters(categories=("L", "N")), min_size=1, max_size=20)


@given(WORDS, WORDS, WORDS)
def test_a_pseudonym_says_nothing_without_the_key_and_is_another_for_each_deletion(
    tenant: str, user: str, deletion: str
) -> None:
    alias = pseudonym(KEY, tenant, user, deletion)
    assert PSEUDONYM.fullmatch(alias)
    assert alias == pseudonym(KEY, tenant, user, deletion)
    others = [
        (b"x" * 32, tenant, user, deletion),
        (KEY, tenant + "x", user, deletion),
        (KEY, tenant, user + "x", deletion),
        (KEY, tenant, user, deletion + "x"),
    ]
    assert alias not in [pseudonym(*other) for other in others]


@pytest.mark.parametrize(
    ("text", "user", "expected"),
    [
        ("tenants/studio/users/ann user spend month", "ann", "tenants/studio/users/X user spend month"),
        ("for ann, not for anna or joann or ann-2", "ann", "for X, not for anna or joann or ann-2"),
        ("a.b (a.b) aXb", "a.b", "X (X) aXb"),
        ("user:+49 1 23 user jobs day", "+49 1 23", "user:X user jobs day"),
        ("nothing", "ann", "nothing"),
    ],
)
def test_an_id_is_replaced_where_it_stands_as_a_word(text: str, user: str, expected: str) -> None:
    assert redacted(text, user, "X") == expected


@given(st.text(max_size=50), st.text(st.characters(exclude_characters="X"), min_size=1, max_size=20).filter(str.strip))
def test_no_id_is_left_between_spaces(text: str, user: str) -> None:
    assert f" {user} " not in redacted(f" {user} {text}", user, "X")[: len(user) + 2]
