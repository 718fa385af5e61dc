"""Which traces are recorded, by the settings."""

import secrets

from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, Sampler, TraceIdRatioBased

from services.tracing.opentelemetry_tracer import Decide
from services.tracing.settings import TracingSettings
from services.tracing.trace_context import TraceContext

PARENT_BASED = "parentbased_"
WHOLE = 1 << 32


def decision(settings: TracingSettings) -> Decide:
    """Returns what decides before the library does. It lets pass what is decided by the id of a trace."""
    if not settings.traces_sampler.startswith(PARENT_BASED):
        return lambda _: True
    root = settings.traces_sampler.removeprefix(PARENT_BASED)
    share = {"always_on": 1.0, "always_off": 0.0}.get(root, settings.traces_sampler_arg)
    bound = round(share * WHOLE)

    def decide(parent: TraceContext | None) -> bool:
        return secrets.randbits(32) < bound if parent is None else parent.sampled

    return decide


def sampler(settings: TracingSettings) -> Sampler:
    """Returns the library's sampler of what has passed."""
    match settings.traces_sampler:
        case "always_off":
            return ALWAYS_OFF
        case "traceidratio":
            return TraceIdRatioBased(settings.traces_sampler_arg)
        case _:
            return ALWAYS_ON
