"""A quote token holds for one price of one spec of one user, for a time, and cannot be changed."""

import base64
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.orchestrator.domain.quote_token import Quote, Refusal, quote_id, refusal, sign
from tests.support.builders import NOON

KEY = bytes(range(32))
QUOTE = Quote("studio", "ann", "f" * 64, 250_000, "0123456789ab")
UNTIL = NOON + timedelta(minutes=15)

TEXT = st.text(max_size=20)
QUOTES = st.builds(Quote, TEXT, TEXT, TEXT, st.integers(0, 2**53), TEXT)
TIMES = st.datetimes(datetime(2026, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))


@given(QUOTES, TIMES, st.binary(min_size=32, max_size=32))
def test_a_token_holds_until_it_expires(quote: Quote, until: datetime, key: bytes) -> None:
    token = sign(quote, until, key)
    assert refusal(token, quote, until - timedelta(milliseconds=1), key) is None
    assert refusal(token, quote, until, key) is Refusal.EXPIRED
    assert refusal(token, quote, until + timedelta(days=1000), key) is Refusal.EXPIRED


def test_a_token_is_compact_and_needs_no_quoting() -> None:
    token = sign(QUOTE, UNTIL, KEY)
    assert len(token) == 76 and token.replace("-", "").replace("_", "").isalnum()


@given(st.integers(0, 75), st.sampled_from("ABCabc019-_+/= \né"))
def test_a_changed_token_is_malformed(place: int, character: str) -> None:
    token = sign(QUOTE, UNTIL, KEY)
    changed = token[:place] + character + token[place + 1 :]
    expected = None if changed == token else Refusal.MALFORMED
    assert refusal(changed, QUOTE, NOON, KEY) is expected


@given(st.one_of(st.text(), st.binary().map(lambda data: base64.urlsafe_b64encode(data).decode())))
def test_any_other_text_is_malformed(text: str) -> None:
    assert refusal(text, QUOTE, NOON, KEY) is Refusal.MALFORMED


@pytest.mark.parametrize("change", [lambda token: token + token, lambda token: token[:-4], lambda token: token + "="])
def test_a_longer_or_shorter_token_is_malformed(change) -> None:  # type: ignore[no-untyped-def]
    assert refusal(change(sign(QUOTE, UNTIL, KEY)), QUOTE, NOON, KEY) is Refusal.MALFORMED


def test_another_spelling_of_the_same_bytes_is_malformed() -> None:
    key = next(key for key in (bytes([n]) * 32 for n in range(256)) if "-" in sign(QUOTE, UNTIL, key))
    assert refusal(sign(QUOTE, UNTIL, key).replace("-", "+"), QUOTE, NOON, key) is Refusal.MALFORMED


def test_a_token_of_another_key_is_malformed() -> None:
    assert refusal(sign(QUOTE, UNTIL, bytes(32)), QUOTE, NOON, KEY) is Refusal.MALFORMED


@pytest.mark.parametrize("other", [{"tenant": "story"}, {"user": "bob"}, {"fingerprint": "e" * 64}])
def test_a_token_of_another_tenant_user_or_spec_is_foreign(other: dict[str, str]) -> None:
    foreign = replace(QUOTE, **other)  # type: ignore[arg-type]
    assert refusal(sign(QUOTE, UNTIL, KEY), foreign, NOON, KEY) is Refusal.FOREIGN
    # The error reveals nothing about another caller's quote, not even whether it has expired.
    assert refusal(sign(QUOTE, UNTIL, KEY), foreign, UNTIL, KEY) is Refusal.FOREIGN


def test_names_that_join_to_the_same_text_are_different_parties() -> None:
    token = sign(replace(QUOTE, tenant="a", user="bc"), UNTIL, KEY)
    assert refusal(token, replace(QUOTE, tenant="ab", user="c"), NOON, KEY) is Refusal.FOREIGN


@pytest.mark.parametrize("now", [{"quote_micros": 250_001}, {"quote_micros": 1}, {"prices_version": "ba9876543210"}])
def test_a_token_is_stale_when_the_price_or_its_version_has_changed(now: dict[str, int | str]) -> None:
    assert refusal(sign(QUOTE, UNTIL, KEY), replace(QUOTE, **now), NOON, KEY) is Refusal.STALE  # type: ignore[arg-type]


def test_the_id_of_a_token_is_short_and_absent_without_one() -> None:
    token = sign(QUOTE, UNTIL, KEY)
    assert len(quote_id(token)) == 12 and quote_id(token) not in token
    assert quote_id("") == ""
