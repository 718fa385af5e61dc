"""The exemplar of an observation: the trace in which it was made, if that trace is recorded."""

from opentelemetry import trace


def exemplar() -> dict[str, str] | None:
    """Returns the id of the current trace as an exemplar's labels; None without a trace, or if it is not sampled."""
    context = trace.get_current_span().get_span_context()
    if not context.trace_flags.sampled or not context.is_valid:
        return None
    return {"trace_id": trace.format_trace_id(context.trace_id)}
