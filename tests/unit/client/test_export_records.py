"""Lines of an export: what is written is read again, and what anyone else wrote is refused with its place."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from i2v.v1 import asset_pb2, collection_pb2, job_pb2, usage_pb2

from services.client.transfer import description, records, strict_json
from services.client.transfer.description import Description, IndexSummary, Subject
from services.client.transfer.faults import BrokenExport
from services.client.transfer.records import COLLECTIONS, ENTRIES, INDEXES, JOBS, USAGE, Bytes, Index, Record
from tests.support.exports import CAT, an_asset

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
NAMES = st.text("0123456789abcdef", min_size=64, max_size=64).map("assets/{}".format)
USERS = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=128)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


@st.composite
def assets(draw: st.DrawFn) -> asset_pb2.Asset:
    asset = asset_pb2.Asset(
        name=draw(NAMES),
        size_bytes=draw(st.integers(0, 2**63 - 1)),
        favorite=draw(st.booleans()),
        rating=draw(st.integers(0, 5)),
        etag=draw(TEXT),
    )
    asset.details.title, asset.details.description = draw(TEXT), draw(TEXT)
    asset.details.tags.extend(draw(st.lists(TEXT, max_size=4)))
    asset.details.custom_metadata.update(draw(st.dictionaries(TEXT, JSON_VALUES, max_size=3)))
    asset.create_time.seconds, asset.create_time.nanos = (
        draw(st.integers(0, 2**33)),
        draw(st.integers(0, 999_999)) * 1000,
    )
    if draw(st.booleans()):
        asset.origin.prompt, asset.origin.seed = draw(TEXT), draw(st.integers(0, 2**63 - 1))
        asset.origin.cost.amount_micros = draw(st.integers(0, 2**62))
        asset.origin.parents.extend(draw(st.lists(NAMES, max_size=3)))
    return asset


@given(user=USERS, asset=assets(), stored=st.sampled_from(Bytes))
def test_an_entry_is_read_as_it_was_written(user: str, asset: asset_pb2.Asset, stored: Bytes) -> None:
    written = Record(user, asset, stored)
    line = written.line(ENTRIES)
    assert line.endswith(b"\n") and line.count(b"\n") == 1
    assert records.record(ENTRIES, line, "here") == written


@given(user=USERS, title=TEXT, members=st.lists(NAMES, max_size=5))
def test_a_collection_is_read_as_it_was_written(user: str, title: str, members: list[str]) -> None:
    collection = collection_pb2.Collection(name="collections/7", title=title, cover=members[0] if members else "")
    written = Record(user, collection, members=tuple(members))
    assert records.record(COLLECTIONS, written.line(COLLECTIONS), "here") == written


@given(prompt=TEXT, micros=st.integers(-(2**63), 2**63 - 1))
def test_jobs_with_events_and_bookings_are_read_as_they_were_written(prompt: str, micros: int) -> None:
    job = job_pb2.Job(name="jobs/1", prompt=prompt, state=job_pb2.Job.SUCCEEDED, progress=0.1)
    written = Record("ann", job, events=(job_pb2.JobEvent(sequence=1),))
    assert records.record(JOBS, written.line(JOBS), "here") == written
    booking = Record("ann", usage_pb2.LedgerEntry(spent=job_pb2.Money(amount_micros=micros)))
    assert records.record(USAGE, booking.line(USAGE), "here") == booking


@given(st.binary(max_size=200), st.sampled_from(INDEXES))
def test_any_bytes_are_a_record_or_a_refusal(data: bytes, index: Index) -> None:
    with pytest.raises(BrokenExport):
        records.record(index, data, "here")


@given(st.sampled_from(INDEXES), JSON_VALUES, JSON_VALUES, st.dictionaries(TEXT, JSON_VALUES, max_size=2))
def test_any_json_is_a_record_or_a_refusal(index: Index, message: Any, more: Any, fields: dict[str, Any]) -> None:
    known = {field.name: message for field in index.message.DESCRIPTOR.fields}
    for value in (message, fields, known):
        line = {"user": "ann", index.field: value, "bytes": more, "assets": more, "events": more} | fields
        for keys in (line, {key: line[key] for key in ("user", index.field, "bytes")}):
            try:
                records.record(index, json.dumps(keys).encode(), "here")
            except BrokenExport as error:
                assert error.reason == "EXPORT_MALFORMED" and error.fault.place == "here"


def a_line(custom: bytes = b"{}", *, more: bytes = b"", stored: bytes = b'"stored"', user: bytes = b'"ann"') -> bytes:
    """A line that is right but for what is given."""
    named = b'{"name": "assets/%s", "details": {"custom_metadata": %s}}' % (b"0" * 64, custom)
    return b'{"user": %s, "asset": %s, "bytes": %s%s}' % (user, named, stored, more)


def test_a_line_that_is_right_is_taken() -> None:
    assert records.record(ENTRIES, a_line(b'{"a": [1, "x"]}'), "here").user == "ann"


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (a_line(more=b', "user": "bob"'), "twice"),
        (a_line(b'{"a": 1, "a": 2}'), "twice"),
        (a_line(b'{"a": NaN}'), "NaN"),
        (a_line(b'{"a": -Infinity}'), "Infinity"),
        (a_line(b'{"a": 1e999}'), "too large"),
        (a_line(b'{"a": "\\ud800"}'), "surrogates"),
        (a_line(b'{"a": "\\udc00\\ud800"}'), "surrogates"),
        (a_line(b'{"a":' * 10_000 + b"1" + b"}" * 10_000), "deep"),
        (b"[" * 1_000_000, "deep"),
        (a_line(b'{"a": %s}' % (b"9" * 10_000)), "4300"),
        (a_line(b"[]"), "not what the API says"),
        (a_line(more=b', "more": 1'), "no others"),
        (a_line(stored=b'"somewhere"'), "stored, trash"),
        (a_line(stored=b"[]"), "stored, trash"),
        (a_line(user=b'"ann\\n"'), "printable"),
        (a_line(user=b'""'), "printable"),
        (a_line(user=b"7"), "printable"),
        (a_line() + b"{}", "Extra data"),
        (b"[]", "no JSON object"),
        (b"\xff\xfe", "utf-8"),
        (a_line().replace(b"0" * 64, b"../../etc/passwd"), "no name"),
        (a_line().replace(b'"details"', b'"unknown"'), "unknown"),
    ],
    ids=lambda given: given[:60].decode(errors="replace") if isinstance(given, bytes) else given,
)
def test_a_hostile_line_is_refused_with_its_place(line: bytes, why: str) -> None:
    with pytest.raises(BrokenExport) as caught:
        records.record(ENTRIES, line, "entries.jsonl:7")
    assert caught.value.reason == "EXPORT_MALFORMED"
    assert str(caught.value).startswith("entries.jsonl:7: ") and len(str(caught.value)) < 500
    assert why in str(caught.value)


def test_an_entry_whose_name_leaves_the_folder_or_whose_size_is_negative_is_refused() -> None:
    for changed in ({"name": "assets/" + "A" * 64}, {"size_bytes": -1}):
        asset = an_asset(CAT)
        asset.MergeFrom(asset_pb2.Asset(**changed))  # type: ignore[arg-type]
        with pytest.raises(BrokenExport):
            records.record(ENTRIES, Record("ann", asset, Bytes.STORED).line(ENTRIES), "here")


DIGESTS = st.text("0123456789abcdef", min_size=64, max_size=64)
SUMMARIES = st.builds(IndexSummary, DIGESTS, st.integers(0, 2**40))
DESCRIPTIONS = st.builds(
    Description,
    st.builds(Subject, TEXT, TEXT, TEXT),
    TEXT,
    st.just({}) | st.fixed_dictionaries({index.file: SUMMARIES for index in INDEXES}),
    st.integers(0, 2**40),
    st.integers(0, 2**60),
)


@given(DESCRIPTIONS)
def test_a_description_is_read_as_it_was_written(written: Description) -> None:
    assert description.loads(written.dumps()) == written


@pytest.mark.parametrize("version", [2, 0, -1, "1", None, 1.5, True, [1]])
def test_another_version_is_refused_by_name(version: Any) -> None:
    found = json.loads(Description(Subject(), "now").dumps()) | {"version": version}
    with pytest.raises(BrokenExport) as caught:
        description.loads(json.dumps(found).encode())
    assert caught.value.reason == "EXPORT_VERSION_UNKNOWN"


@given(st.sampled_from(["format", "tenant", "user", "indexes", "bytes", "create_time"]), JSON_VALUES)
def test_a_description_with_any_field_is_read_or_refused(field: str, value: Any) -> None:
    found = strict_json.loads(Description(Subject(), "now").dumps(), "here") | {field: value}
    try:
        description.loads(json.dumps(found).encode())
    except BrokenExport as error:
        assert error.reason == "EXPORT_MALFORMED"


def test_half_of_a_surrogate_pair_in_the_description_is_refused() -> None:
    found = json.loads(Description(Subject(), "now").dumps()) | {"tenant": "\ud800"}
    with pytest.raises(BrokenExport):
        description.loads(json.dumps(found).encode())
