"""Pass phrases of shares, and what unlocks a share."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.errors import Unavailable
from services.orchestrator.assets.pass_phrases import AT_ONCE, WAITING, PassPhrases
from services.orchestrator.domain import pass_phrase
from services.orchestrator.domain.share import Share, ShareKey, is_unlocked, unlock
from services.reasons import LibraryReason
from tests.support.builders import NOON

SHARE = Share(
    key=ShareKey("studio", "ann", "1"),
    number=1,
    asset="0" * 64,
    collection="",
    pass_phrase="scrypt$1",
    create_time=NOON,
    expire_time=NOON + timedelta(days=7),
)
KEY = bytes(32)


def test_a_pass_phrase_matches_in_any_composition_and_no_other_does() -> None:
    stored = pass_phrase.hashed("ünder the roof", bytes(16))
    assert "roof" not in stored
    assert pass_phrase.matches("u\u0308nder the roof", stored)
    assert not pass_phrase.matches("ünder the root", stored)
    assert pass_phrase.hashed("ünder the roof", bytes(15) + b"1") != stored


def test_short_and_long_pass_phrases_are_refused_without_being_repeated() -> None:
    for text in ("1234567", "x" * 201):
        problem = pass_phrase.problem(text)
        assert problem is not None and text not in problem
    for text in ("12345678", "屋" * 200):
        assert pass_phrase.problem(text) is None


async def test_pass_phrases_are_checked_a_few_at_a_time_and_too_many_are_refused() -> None:
    phrases = PassPhrases()
    stored = await phrases.hashed("under the roof", bytes(16))
    checks = (phrases.matches("under the roof", stored) for _ in range(AT_ONCE + WAITING + 5))
    answers = await asyncio.gather(*checks, return_exceptions=True)
    refused = [each for each in answers if isinstance(each, Unavailable)]
    assert (len(refused), answers.count(True)) == (5, AT_ONCE + WAITING)
    assert {each.reason for each in refused} == {LibraryReason.PASS_PHRASES_BUSY}
    assert await phrases.matches("under the roof", stored)
    assert await phrases.matches("", "") and not await phrases.matches("x", "")


@pytest.mark.parametrize(
    "other", [replace(SHARE, number=2), replace(SHARE, pass_phrase="scrypt$2")], ids=["share", "pass phrase"]
)
def test_what_unlocks_a_share_unlocks_no_other_and_holds_for_an_hour(other: Share) -> None:
    until = NOON + timedelta(hours=1)
    given_ = unlock(SHARE, until, KEY)
    assert is_unlocked(SHARE, given_, until - timedelta(seconds=1), KEY)
    assert not is_unlocked(SHARE, given_, until, KEY)
    assert not is_unlocked(other, given_, NOON, KEY)
    assert not is_unlocked(SHARE, given_, NOON, bytes(31) + b"1")
    assert is_unlocked(replace(SHARE, pass_phrase=""), "", NOON, KEY)


@settings(max_examples=200)
@given(st.text() | st.from_regex(r"[0-9]{1,14}\.[0-9a-f]{0,64}"))
def test_nothing_else_unlocks_a_share(text: str) -> None:
    assert not is_unlocked(SHARE, text, NOON, KEY)
