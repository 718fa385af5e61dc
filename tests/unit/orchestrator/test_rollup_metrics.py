"""The metrics of the running day: exact, bounded, and gone when a value has no jobs any more."""

from prometheus_client import CollectorRegistry

from services.orchestrator.domain.rollup import OTHER, RollupSums, most_charged
from services.orchestrator.rollup_metrics import MODELS, RollupMetrics


def sums(micros: int) -> RollupSums:
    return RollupSums(admitted=1, jobs=1, video_ms=1500, charged_micros=micros, vendor_micros=7, slot_ms=2500)


def test_the_figures_of_a_model_are_those_of_its_rollups() -> None:
    registry = CollectorRegistry()
    RollupMetrics(registry).models.show({"nano": sums(10)})
    values = {name: registry.get_sample_value(f"i2v_day_{name}", {"model": "nano"}) for name in FIGURES}
    assert values == FIGURES


FIGURES = {
    "admitted_jobs": 1.0,
    "jobs": 1.0,
    "video_seconds": 1.5,
    "charged_micros": 10.0,
    "vendor_micros": 7.0,
    "slot_seconds": 2.5,
}


def test_a_value_without_jobs_on_the_new_day_has_no_series() -> None:
    registry = CollectorRegistry()
    metrics = RollupMetrics(registry)
    metrics.models.show({"nano": sums(10), "wan": sums(5)})
    metrics.models.show({"wan": sums(6)})
    assert registry.get_sample_value("i2v_day_charged_micros", {"model": "nano"}) is None
    assert registry.get_sample_value("i2v_day_charged_micros", {"model": "wan"}) == 6


def test_no_tenant_has_a_series_unless_the_setting_says_so_and_the_others_are_together() -> None:
    registry = CollectorRegistry()
    RollupMetrics(registry).tenants.show({"studio": sums(10)})
    assert registry.get_sample_value("i2v_tenant_day_jobs", {"tenant": "studio"}) is None
    other = CollectorRegistry()
    RollupMetrics(other, 1).tenants.show({"a": sums(1), "b": sums(3), "c": sums(1)})
    found = {name: other.get_sample_value("i2v_tenant_day_charged_micros", {"tenant": name}) for name in "abc"}
    assert found == {"a": None, "b": 3, "c": None}
    assert other.get_sample_value("i2v_tenant_day_charged_micros", {"tenant": OTHER}) == 2


def test_the_series_are_bounded_and_no_sum_is_lost() -> None:
    shown = most_charged({f"m{number}": sums(number) for number in range(500)}, MODELS)
    assert len(shown) == MODELS + 1
    assert sum(each.charged_micros for each in shown.values()) == sum(range(500))
