"""The spans of the local engine: its stages, and what each asks of Triton."""

from pathlib import Path

from opentelemetry.sdk.trace import ReadableSpan

from services.tracing import spans
from services.tracing.spans import Kind
from tests.support.recorded_spans import recording
from tests.support.scripted_triton import ScriptedTriton
from tests.support.triton_backend_rig import a_spec, a_triton_rig, the_card

INFER, STREAM = "inference.GRPCInferenceService/ModelInfer", "inference.GRPCInferenceService/ModelStreamInfer"


def tree(kept: list[ReadableSpan]) -> set[tuple[str, str]]:
    """Returns the names of parent and child, for each span with a parent."""
    by_id = {span.context.span_id: span.name for span in kept if span.context is not None}
    return {(by_id[span.parent.span_id], span.name) for span in kept if span.parent is not None}


async def test_the_stages_of_a_video_are_spans_with_tritons_calls_in_them(tmp_path: Path) -> None:
    with recording() as kept:
        async with a_triton_rig(ScriptedTriton(), tmp_path) as rig:
            with spans.entry("attempt", Kind.CONSUMER):
                await rig.events(a_spec(), the_card())
    assert tree(kept) == {
        ("attempt", "encode"),
        ("encode", INFER),
        ("attempt", "denoise"),
        ("denoise", STREAM),
        ("attempt", "decode"),
        ("decode", STREAM),
        ("decode", "mux"),
    }
    assert not [span.name for span in kept if not span.status.is_unset]
    assert b"it moves" not in b"".join(span.to_json().encode() for span in kept)
