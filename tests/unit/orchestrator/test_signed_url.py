"""Tokens of signed URLs."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from services.orchestrator.domain.signed_url import PREFIX, SignedUrl, read, sign

KEY = b"k" * 32
TIMES = st.datetimes(datetime(1970, 1, 1), datetime(2900, 1, 1), timezones=st.just(UTC))
URLS = st.builds(
    SignedUrl,
    tenant=st.from_regex(r"[a-z0-9][a-z0-9-]{0,62}", fullmatch=True),
    user=st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=128),
    sha256=st.from_regex(r"[0-9a-f]{64}", fullmatch=True),
    variant=st.sampled_from(["", "poster", "thumbnail-256"]),
    download_name=st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=50),
    expire_time=TIMES.map(lambda time: time.replace(microsecond=0)),
)
URL = SignedUrl("studio", "ann", "a" * 64, "", "猫.mp4", datetime(2026, 11, 30, 12, tzinfo=UTC))


@given(URLS)
def test_a_token_names_what_was_signed_and_needs_no_escapes(url: SignedUrl) -> None:
    token = sign(url, KEY)
    assert read(token, KEY) == url
    assert token.startswith(PREFIX)
    assert set(token) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.")


@given(st.data())
def test_a_token_with_one_other_character_is_refused(data: st.DataObject) -> None:
    token = sign(URL, KEY)
    place = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.characters(exclude_categories=("Cs",)).filter(lambda each: each != token[place]))
    assert read(token[:place] + other + token[place + 1 :], KEY) is None


def test_a_token_of_another_key_cut_off_or_longer_is_refused() -> None:
    token = sign(URL, KEY)
    assert read(token, b"other" * 6) is None
    assert all(read(token[:end], KEY) is None for end in range(len(token)))
    assert read(token + "A", KEY) is None
    assert read(token + "=", KEY) is None


def test_the_fields_of_one_token_with_the_tag_of_another_are_refused() -> None:
    other = SignedUrl(URL.tenant, URL.user, "b" * 64, URL.variant, URL.download_name, URL.expire_time)
    fields, tag = sign(other, KEY).rpartition(".")[0], sign(URL, KEY).rpartition(".")[2]
    assert read(f"{fields}.{tag}", KEY) is None
