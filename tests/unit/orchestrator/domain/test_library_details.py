"""What people may say of an asset."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.orchestrator.domain.library_details import CUSTOM_DEPTH_MOST, Details, problems
from services.reasons import LibraryReason


def deep(levels: int) -> dict[str, object]:
    """Returns a value of so many levels."""
    value: dict[str, object] = {}
    for _ in range(levels - 1):
        value = {"a": value}
    return value


@pytest.mark.parametrize(
    ("details", "field", "reason"),
    [
        (Details(title="x" * 501), "d.title", LibraryReason.LIBRARY_TEXT_MALFORMED),
        (Details(title="a\nb"), "d.title", LibraryReason.LIBRARY_TEXT_MALFORMED),
        (Details(title="a\x00b"), "d.title", LibraryReason.LIBRARY_TEXT_MALFORMED),
        (Details(title="\u202egpj.exe"), "d.title", LibraryReason.LIBRARY_TEXT_MALFORMED),
        (Details(title="\ud800"), "d.title", LibraryReason.LIBRARY_TEXT_MALFORMED),
        (Details(description="x" * 10_001), "d.description", LibraryReason.LIBRARY_TEXT_MALFORMED),
        (Details(description="\x1b[31m"), "d.description", LibraryReason.LIBRARY_TEXT_MALFORMED),
        (Details(source_module="x" * 101), "d.source_module", LibraryReason.LIBRARY_TEXT_MALFORMED),
        (Details(tags=("x" * 10_000,)), "d.tags[0]", LibraryReason.TAG_MALFORMED),
        (Details(tags=("a", "")), "d.tags[1]", LibraryReason.TAG_MALFORMED),
        (Details(tags=("a", " b")), "d.tags[1]", LibraryReason.TAG_MALFORMED),
        (Details(tags=("a", "a")), "d.tags[1]", LibraryReason.TAG_MALFORMED),
        (Details(tags=("\u2066a",)), "d.tags[0]", LibraryReason.TAG_MALFORMED),
        (Details(tags=tuple(map(str, range(51)))), "d.tags", LibraryReason.TAGS_TOO_MANY),
        (Details(custom={"a": "x" * 8192}), "d.custom_metadata", LibraryReason.CUSTOM_METADATA_MALFORMED),
        (Details(custom={"a": float("nan")}), "d.custom_metadata", LibraryReason.CUSTOM_METADATA_MALFORMED),
        (Details(custom={"a": "\x00"}), "d.custom_metadata", LibraryReason.CUSTOM_METADATA_MALFORMED),
        (Details(custom=deep(CUSTOM_DEPTH_MOST + 1)), "d.custom_metadata", LibraryReason.CUSTOM_METADATA_MALFORMED),
        (Details(custom=deep(90)), "d.custom_metadata", LibraryReason.CUSTOM_METADATA_MALFORMED),
    ],
)
def test_each_malformed_part_is_refused_by_its_field(details: Details, field: str, reason: LibraryReason) -> None:
    assert [(wrong.field, wrong.reason) for wrong in problems(details, "d")] == [(field, reason)]


@pytest.mark.parametrize(
    "details",
    [
        Details(),
        Details("猫 на крыше 🐈 قطة", "Two\nlines\tand a tab", ("пляж", "नमस्ते", "sea side"), "any text", deep(8)),
        Details("x" * 500, "x" * 10_000, tuple(map(str, range(50))), "x" * 100, {"a": [1, 2.5, None, True]}),
    ],
)
def test_any_script_is_taken(details: Details) -> None:
    assert list(problems(details, "d")) == []


@given(st.text(), st.lists(st.text()), st.recursive(st.none() | st.floats() | st.text(), st.lists))
def test_no_text_breaks_the_check(title: str, tags: list[str], value: object) -> None:
    for wrong in problems(Details(title, title, tuple(tags), title, {"value": value}), "d"):
        assert wrong.field.startswith("d.") and wrong.description
