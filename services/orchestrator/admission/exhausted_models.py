"""Models of a capability whose own limit is reached: another model of it may still make the job."""

from collections.abc import Collection, Iterable

from services.orchestrator.domain.limits.measure import Jobs, measure_of


def exhausted_models(measures: Iterable[str], models: Collection[str]) -> frozenset[str]:
    """Returns the models that a job has to do without, by the measures of the limits that refuse it.

    Empty if that does not help: another limit refuses too, or no model would be left.
    """
    exhausted = set()
    for key in measures:
        measure = measure_of(key)
        if not isinstance(measure, Jobs) or measure.model not in models:
            return frozenset()
        exhausted.add(measure.model)
    return frozenset(exhausted) if exhausted < set(models) else frozenset()
