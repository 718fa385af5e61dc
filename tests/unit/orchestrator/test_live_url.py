"""Tokens of live URLs."""

from datetime import UTC, datetime

from services.orchestrator.domain import live_url, signed_url
from services.orchestrator.domain.live_url import LiveUrl
from services.orchestrator.domain.signed_url import SignedUrl
from services.rpc.redaction import redact

KEY = b"k" * 32
URL = LiveUrl("studio", "猫", "0" * 32, datetime(2026, 11, 30, 12, tzinfo=UTC))


def test_a_token_names_what_was_signed_and_no_other_key_made_it() -> None:
    token = live_url.sign(URL, KEY)
    assert live_url.read(token, KEY) == URL
    assert live_url.read(token, b"other" * 6) is None
    assert all(live_url.read(token[:end], KEY) is None for end in range(len(token)))


def test_a_token_of_one_kind_is_none_of_the_other() -> None:
    live = live_url.sign(URL, KEY)
    asset = signed_url.sign(SignedUrl("studio", "ann", "a" * 64, "", "", URL.expire_time), KEY)
    assert signed_url.read(live, KEY) is None
    assert live_url.read(asset, KEY) is None
    assert signed_url.read("signed." + live.removeprefix("live."), KEY) is None
    assert live_url.read("live." + asset.removeprefix("signed."), KEY) is None


def test_no_text_for_others_shows_a_token() -> None:
    token = live_url.sign(URL, KEY)
    for text in (f"GET /v1/videos/a/live.m3u8?x={token} 200", token, f"it was ({token})"):
        assert token[10:40] not in redact(text) and "live.[redacted]" in redact(text)
    assert redact("the job is live. Watch live.m3u8") == "the job is live. Watch live.m3u8"
