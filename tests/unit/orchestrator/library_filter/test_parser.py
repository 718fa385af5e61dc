"""Filters of the library's lists: what they mean, and what is refused."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.errors import InvalidInput
from services.orchestrator.domain.library_filter import parse
from services.orchestrator.domain.library_filter.tree import And, Condition, Not, Or
from services.reasons import RequestReason

A, B, C = Condition("rating", "=", 1), Condition("rating", "=", 2), Condition("rating", "=", 3)


def test_an_empty_filter_says_nothing() -> None:
    assert parse("  ") is None


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("kind=VIDEO", Condition("type", "=", "video")),
        ('tag:"rote Rosen"', Condition("tags", ":", "rote Rosen")),
        (r'tags:"a \"b\" \\"', Condition("tags", ":", r'a "b" ' + "\\")),
        ("tags:scene:1", Condition("tags", ":", "scene:1")),
        ("tags:猫", Condition("tags", ":", "猫")),
        ("favorite != true", Condition("favorite", "!=", True)),
        ("seed >= -7", Condition("seed", ">=", -7)),
        ("duration<2.5s", Condition("duration", "<", 2500)),
        ("cost<=0.25", Condition("cost", "<=", 250_000)),
        ("create_time>2026-11-30", Condition("create_time", ">", datetime(2026, 11, 30, tzinfo=UTC))),
        (
            "update_time<2026-11-30T12:00:00+02:00",
            Condition("update_time", "<", datetime(2026, 11, 30, 10, tzinfo=UTC)),
        ),
    ],
)
def test_a_condition_has_a_value_of_its_fields_type(text: str, condition: Condition) -> None:
    assert parse(text) == condition


def test_or_binds_more_tightly_than_and() -> None:
    assert parse("rating=1 AND rating=2 OR rating=3") == And((A, Or((B, C))))


def test_parentheses_not_and_a_missing_and_are_understood() -> None:
    assert parse("NOT (rating=1 rating=2) OR rating=3") == Or((Not(And((A, B))), C))


def test_sql_in_a_value_stays_a_value() -> None:
    text = "'; DROP TABLE assets; --"
    assert parse(f'model="{text}"') == Condition("model", "=", text)


@pytest.mark.parametrize(
    "text",
    [
        "rating",
        "rating=",
        "rating=much",
        "rating:1",
        "password=1",
        "type=text",
        "favorite=1",
        "seed=9223372036854775808",
        "cost=-1",
        "create_time>yesterday",
        "create_time>2026-02-30",
        'model="open',
        "rating=1 OR",
        "AND rating=1",
        "(rating=1",
        "rating=1)",
        "()",
        "1=1; DROP TABLE assets",
        "model=a\0",
        "model=\ud800",
        "model=" + "x" * 10_000,
        " OR ".join(["rating=1"] * 1000),
        "(" * 21 + "rating=1" + ")" * 21,
        "(" * 5000,
    ],
)
def test_what_is_no_filter_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse(text)
    assert [violation.reason for violation in refused.value.violations] == [RequestReason.FILTER_MALFORMED]


@given(st.text(alphabet=st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=60))
def test_any_text_in_quotation_marks_is_a_value(value: str) -> None:
    quoted = value.replace("\\", "\\\\").replace('"', '\\"')
    assert parse(f'model="{quoted}"') == Condition("model", "=", value)


@given(st.text(alphabet=st.sampled_from('rating=1 ANDORNOT()":<>!\\tags猫'), max_size=60))
def test_any_other_text_is_read_or_refused_with_its_reason(text: str) -> None:
    try:
        found = parse(text)
    except InvalidInput as refused:
        assert refused.violations[0].reason is RequestReason.FILTER_MALFORMED
    else:
        assert (found is None) == (text.strip() == "")
