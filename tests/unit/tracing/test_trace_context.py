"""The headers of a trace, as anyone may send them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.tracing.trace_context import TraceContext

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
PARENT = f"00-{TRACE}-{SPAN}-01"
HEX = "0123456789abcdef"


@pytest.mark.parametrize(
    "parent",
    [
        "",
        "00",
        PARENT.upper(),
        PARENT + "0",
        PARENT + "-more",
        " " + PARENT,
        PARENT + "\n",
        PARENT.replace("b7", "g7"),
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}",
        f"01-{TRACE}-{SPAN}-01-" + "x" * 10_000,
        "0" * 10_000,
        PARENT.replace("0af", "0\N{ARABIC-INDIC DIGIT ONE}f"),
    ],
)
def test_a_wrong_traceparent_is_ignored(parent: str) -> None:
    assert TraceContext.parse(parent) is None


@given(st.text() | st.text(HEX + "-", max_size=60))
def test_any_text_is_a_traceparent_in_its_one_form_or_ignored(text: str) -> None:
    found = TraceContext.parse(text)
    assert found is None or found.parent[3:-2] == text[3:53]


def test_a_later_version_is_read_as_far_as_it_is_known() -> None:
    assert TraceContext.parse(f"cc-{TRACE}-{SPAN}-09-what-comes-later") == TraceContext(TRACE, SPAN, sampled=True)


@pytest.mark.parametrize(("flags", "sampled"), [("00", False), ("01", True), ("03", True), ("fe", False)])
def test_only_the_last_bit_of_the_flags_says_that_a_trace_is_recorded(flags: str, sampled: bool) -> None:
    found = TraceContext.parse(f"00-{TRACE}-{SPAN}-{flags}")
    assert found is not None and found.sampled is sampled


@pytest.mark.parametrize("state", ["x" * 513, "a=b\nc=d", "a=\N{SNOWMAN}", "\0"])
def test_a_wrong_tracestate_is_left_out_and_the_trace_goes_on(state: str) -> None:
    assert TraceContext.parse(PARENT, state) == TraceContext(TRACE, SPAN, sampled=True)


def test_a_traceparent_that_is_given_twice_or_as_bytes_is_ignored() -> None:
    assert TraceContext.of_headers([("traceparent", PARENT), ("x", "y"), ("traceparent", PARENT)]) is None
    assert TraceContext.of_headers([("traceparent", PARENT.encode())]) is None
    assert TraceContext.of_headers([("tracestate", "a=b")]) is None


def test_several_states_are_one_with_commas() -> None:
    found = TraceContext.of_headers([("tracestate", "a=b"), ("traceparent", PARENT), ("tracestate", "c=d")])
    assert found == TraceContext(TRACE, SPAN, True, "a=b,c=d")


@given(
    st.text(HEX, min_size=32, max_size=32).filter(lambda text: set(text) != {"0"}),
    st.text(HEX, min_size=16, max_size=16).filter(lambda text: set(text) != {"0"}),
    st.booleans(),
    st.just("") | st.text("abc=,@1", min_size=1, max_size=100),
)
def test_what_is_stored_or_sent_comes_back(trace_id: str, span_id: str, sampled: bool, state: str) -> None:
    context = TraceContext(trace_id, span_id, sampled, state)
    assert TraceContext.of_text(context.text) == context == TraceContext.of_headers(context.headers)
