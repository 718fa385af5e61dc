"""The exemplar of an observation: the trace in which it was made, if that trace is recorded."""

from services.tracing import spans


def exemplar() -> dict[str, str] | None:
    """Returns the id of the current trace as an exemplar's labels; None without a trace, or if it is not sampled."""
    context = spans.current()
    return {"trace_id": context.trace_id} if context is not None and context.sampled else None
