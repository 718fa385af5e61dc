"""Values of labels are bounded in number and in form, whoever chose them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.parser import text_string_to_metric_families

from services.metrics.label_values import OTHER, LabelValues

HOSTILE = (
    "a\nb 1",
    'a"} 1\ni2v_jobs_admitted_total{model="b',
    "\x00",
    "\ud800",
    "x" * 129,
    "\u202e",
    "\u2028",
    "\x7f",
)


def test_the_first_values_have_their_own_and_all_others_one() -> None:
    values = LabelValues(2)
    assert [values.of(value) for value in ("a", "b", "c", "a", "d", "b")] == ["a", "b", OTHER, "a", OTHER, "b"]


def test_only_known_values_have_their_own() -> None:
    values = LabelValues(10, known={"NO_CREDIT", ""})
    assert [values.of(value) for value in ("NO_CREDIT", "", "made up")] == ["NO_CREDIT", "", OTHER]


@pytest.mark.parametrize("value", HOSTILE, ids=ascii)
def test_a_value_that_cannot_stand_in_a_scrape_is_other(value: str) -> None:
    assert LabelValues(10).of(value) == OTHER


@given(st.lists(st.one_of(st.text(st.characters()), st.sampled_from(HOSTILE)), max_size=30))
def test_any_texts_make_a_scrape_of_a_few_lines(texts: list[str]) -> None:
    values, registry = LabelValues(5), CollectorRegistry()
    counter = Counter("i2v_test_total", "A test.", ["model"], registry=registry)
    for text in texts:
        counter.labels(values.of(text)).inc()
    families = list(text_string_to_metric_families(generate_latest(registry).decode()))
    samples = [sample for family in families for sample in family.samples if sample.name == "i2v_test_total"]
    assert len(samples) <= 6
    assert sum(sample.value for sample in samples) == len(texts)
    assert generate_openmetrics(registry)
