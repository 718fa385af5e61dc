"""Requests of HTTP become requests of RPCs, and what is wrong is named by its field."""

import json
import uuid
from typing import Any

import grpc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from i2v.v1 import asset_pb2, job_pb2, usage_pb2

from services.errors import Violation
from services.reasons import RequestReason
from services.rpc.status_codes import Failure
from services.studio.refused_request import RefusedRequest
from services.studio.request_body import json_object
from services.studio.resources import json_message, transcoding
from services.studio.resources.binding import Binding
from services.studio.resources.bindings import BINDINGS

DIGEST = "a" * 64


def binding(method: str, path: str) -> Binding:
    return next(each for each in BINDINGS if (each.method, each.path) == (method, path))


def request(method: str, template: str, query: str = "", body: Any = None, **more: Any) -> Any:
    """The request of an operation, with `x` for each variable of its path."""
    found = binding(method, template)
    path = transcoding.path_values(found, dict.fromkeys(found.variables, "x"))
    return transcoding.request(found, path=path, query_string=query.encode(), body=body, **more)


def refusal(method: str, template: str, query: str = "", body: Any = None, **more: Any) -> tuple[str, str, int]:
    with pytest.raises(RefusedRequest) as caught:
        request(method, template, query, body, **more)
    return str(caught.value.reason), caught.value.param, caught.value.status


def test_a_job_is_submitted_from_json_in_either_spelling() -> None:
    for spec in (
        {"imageToVideo": {"image": "assets/1", "prompt": "it moves", "fit": "PAD"}, "duration": "1.5s", "seed": "7"},
        {"image_to_video": {"image": "assets/1", "prompt": "it moves", "fit": 2}, "duration": "1.500s", "seed": 7},
    ):
        made = request("POST", "/v1/jobs", body={"spec": spec})
        assert made.spec.image_to_video.prompt == "it moves"
        assert made.spec.image_to_video.fit == job_pb2.ImageToVideo.PAD
        assert (made.spec.duration.ToMilliseconds(), made.spec.seed) == (1500, 7)


def test_an_idempotency_key_is_the_same_request_id_each_time_and_without_one_it_is_another() -> None:
    first, again = (request("POST", "/v1/jobs", body={"spec": {}}, key="order 17").request_id for _ in range(2))
    assert first == again == str(uuid.UUID(first))
    assert request("POST", "/v1/jobs", body={"spec": {}}, key="order 18").request_id != first
    loose = {request("POST", "/v1/jobs", body={"spec": {}}).request_id for _ in range(2)}
    assert len(loose) == 2


def test_a_request_id_of_the_body_stays_and_contradicts_no_key() -> None:
    given_id = str(uuid.uuid4())
    assert request("POST", "/v1/jobs", body={"requestId": given_id}).request_id == given_id
    assert refusal("POST", "/v1/jobs", body={"requestId": given_id}, key="k") == ("FIELD_DUPLICATE", "requestId", 400)


def test_each_job_of_a_batch_has_a_request_id_of_its_own_from_one_key() -> None:
    body = {"jobs": [{"spec": {}}, {"spec": {}}], "mode": "EACH"}
    ids = [[job.request_id for job in request("POST", "/v1/jobs:batchSubmit", body=body, key="k").jobs] for _ in "12"]
    assert ids[0] == ids[1]
    assert len(set(ids[0])) == 2


def test_a_query_is_typed_by_the_fields_of_the_request() -> None:
    made = request("GET", "/v1/jobs", "state=RUNNING&pageSize=5&oldestFirst=true&pageToken=a%2Bb")
    assert (made.state, made.page_size, made.oldest_first, made.page_token) == (job_pb2.Job.RUNNING, 5, True, "a+b")
    made = request("GET", "/v1/usage:query", "groupBy=DAY&groupBy=MODEL&wholeTenant=false")
    assert list(made.group_by) == [usage_pb2.QueryUsageRequest.DAY, usage_pb2.QueryUsageRequest.MODEL]
    made = request("PATCH", "/v1/assets/{asset}", "updateMask=details.title,rating", {"rating": 3})
    assert list(made.update_mask.paths) == ["details.title", "rating"]


@pytest.mark.parametrize(
    ("query", "reason", "field"),
    [
        ("pagesize=5", "FIELD_UNKNOWN", "pagesize"),
        ("pageSize=5&pageSize=6", "FIELD_DUPLICATE", "pageSize"),
        ("pageSize=1_000", "FIELD_MALFORMED", "pageSize"),
        ("pageSize=%D9%A1", "FIELD_MALFORMED", "pageSize"),
        ("pageSize=99999999999", "FIELD_MALFORMED", "pageSize"),
        ("pageSize=", "FIELD_MALFORMED", "pageSize"),
        ("state=AWAKE", "FIELD_MALFORMED", "state"),
        ("oldestFirst=yes", "FIELD_MALFORMED", "oldestFirst"),
        ("pageToken=%ff", "FIELD_MALFORMED", ""),
        ("&".join(["state=RUNNING"] * 500), "FIELD_MALFORMED", ""),
    ],
)
def test_a_wrong_query_is_refused_by_its_field(query: str, reason: str, field: str) -> None:
    assert refusal("GET", "/v1/jobs", query) == (reason, field, 400)


def test_what_the_path_says_is_not_taken_from_elsewhere() -> None:
    assert request("GET", "/v1/jobs/{job}").name == "jobs/x"
    assert refusal("GET", "/v1/jobs/{job}", "name=jobs/y")[:2] == ("FIELD_UNKNOWN", "name")
    assert refusal("POST", "/v1/jobs/{job}:resume", body={"name": "jobs/y"})[:2] == ("FIELD_UNKNOWN", "name")
    assert refusal("PATCH", "/v1/assets/{asset}", body={"name": "assets/y"})[:2] == ("FIELD_UNKNOWN", "name")
    assert refusal("POST", "/v1/keys", body={"tenant": "tenants/other"})[:2] == ("FIELD_UNKNOWN", "tenant")


@pytest.mark.parametrize(
    ("body", "reason", "field"),
    [
        ({"spec": {"imageToVideo": {"promt": "x"}}}, "FIELD_UNKNOWN", "spec.imageToVideo.promt"),
        ({"spec": {"imageToVideo": {"prompt": 5}}}, "FIELD_MALFORMED", "spec.imageToVideo.prompt"),
        ({"spec": {"imageToVideo": {"fit": "WIDE"}}}, "FIELD_MALFORMED", "spec.imageToVideo.fit"),
        ({"spec": {"imageToVideo": []}}, "FIELD_MALFORMED", "spec.imageToVideo"),
        ({"spec": {"duration": "5"}}, "FIELD_MALFORMED", "spec.duration"),
        ({"spec": {"duration": 10**400}}, "FIELD_MALFORMED", "spec.duration"),
        ({"spec": {"seed": 10**400}}, "FIELD_MALFORMED", "spec.seed"),
        ({"spec": {"seed": 2**63}}, "FIELD_MALFORMED", "spec.seed"),
        ({"spec": {"seed": 1.5}}, "FIELD_MALFORMED", "spec.seed"),
        ({"spec": {"seed": True}}, "FIELD_MALFORMED", "spec.seed"),
        ({"spec": {"size": {"width": {}}}}, "FIELD_MALFORMED", "spec.size.width"),
        ({"spec": {"imageToVideo": {"guidanceScale": 10**400}}}, "FIELD_MALFORMED", "spec.imageToVideo.guidanceScale"),
        ({"spec": {"sceneAnimation": {"details": {"a": 1}}}}, "FIELD_MALFORMED", "spec.sceneAnimation.details.a"),
        ({"spec": {"details": {"tags": ["a", 5]}}}, "FIELD_MALFORMED", "spec.details.tags[1]"),
        ({"spec": {"details": {"tags": "a"}}}, "FIELD_MALFORMED", "spec.details.tags"),
        ({"spec": {"details": {"title": "\ud800"}}}, "FIELD_MALFORMED", "spec.details.title"),
        ({"spec": {"details": {"customMetadata": {"a": 10**400}}}}, "FIELD_MALFORMED", "spec.details.customMetadata"),
        ({"spec": {"details": {"customMetadata": [1]}}}, "FIELD_MALFORMED", "spec.details.customMetadata"),
        ({"spec": {"textToVideo": {}, "imageToVideo": {}}}, "FIELD_DUPLICATE", "spec"),
        ({"spec": {"textToVideo": {}, "text_to_video": {}}}, "FIELD_DUPLICATE", "spec"),
    ],
)
def test_a_wrong_body_is_refused_by_its_field(body: Any, reason: str, field: str) -> None:
    assert refusal("POST", "/v1/jobs", body=body) == (reason, field, 400)


def test_a_refusal_says_what_the_field_takes() -> None:
    with pytest.raises(RefusedRequest, match=r"Give one of CROP, PAD\."):
        request("POST", "/v1/jobs", body={"spec": {"imageToVideo": {"fit": "WIDE"}}})
    with pytest.raises(RefusedRequest, match=r"There is no field 'mode'; there are quoteToken, requestId, spec\."):
        request("POST", "/v1/jobs", body={"mode": "EACH"})


def test_an_update_changes_the_fields_that_its_body_has() -> None:
    body = {"details": {"title": "A roof", "customMetadata": {"a": "b"}}, "favorite": False}
    made = request("PATCH", "/v1/assets/{asset}", body=body, etag="e1")
    assert (made.asset.name, made.asset.etag, made.asset.details.title) == ("assets/x", "e1", "A roof")
    assert list(made.update_mask.paths) == ["details.title", "details.custom_metadata", "favorite"]


def test_an_etag_of_the_body_contradicts_no_header() -> None:
    assert request("PATCH", "/v1/assets/{asset}", body={"etag": "e1"}, etag="e1").asset.etag == "e1"
    assert refusal("PATCH", "/v1/assets/{asset}", body={"etag": "e2"}, etag="e1")[:2] == ("FIELD_DUPLICATE", "etag")


@pytest.mark.parametrize("part", ["", ".", "..", "a/b", "a\\b", "a b", "a:b", "%zz", "é", "a\x00", "a" * 129, "a;b"])
def test_a_part_of_a_path_that_is_no_id_names_nothing(part: str) -> None:
    with pytest.raises(RefusedRequest) as caught:
        transcoding.path_values(binding("GET", "/v1/jobs/{job}"), {"job": part})
    assert (caught.value.status, caught.value.reason) == (404, "PATH_MALFORMED")


def test_a_refusal_of_the_api_names_its_fields_as_they_are_over_http() -> None:
    fields = ("asset.details.custom_metadata", "asset.name", "update_mask")
    violations = tuple(Violation(each, "is wrong", RequestReason.INVALID_VALUE) for each in fields)
    failure = Failure(grpc.StatusCode.INVALID_ARGUMENT, "", "INVALID_INPUT", violations=violations)
    asked = transcoding.as_asked(binding("PATCH", "/v1/assets/{asset}"), failure)
    assert [each.field for each in asked.violations] == ["details.customMetadata", "asset", "updateMask"]


def test_a_response_has_also_the_fields_that_are_empty() -> None:
    found = json.loads(json_message.to_json(asset_pb2.ListAssetsResponse(assets=[asset_pb2.Asset(name="assets/1")])))
    assert (found["nextPageToken"], found["assets"][0]["downloads"]) == ("", "0")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
NAMES = sorted({field.json_name for field in job_pb2.JobSpec.DESCRIPTOR.fields} | {"width", "prompt", "tags", "x"})
SPECS = st.recursive(VALUES, lambda inner: st.dictionaries(st.sampled_from(NAMES), inner, max_size=4), max_leaves=12)


@settings(max_examples=150, deadline=None)
@given(SPECS)
def test_no_body_breaks_the_reader(spec: object) -> None:
    try:
        request("POST", "/v1/jobs", body=json_object(json.dumps({"spec": spec}).encode()))
    except RefusedRequest as refused:
        assert refused.reason
