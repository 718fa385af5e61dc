"""Refusals as problem details: the reason names the type, and limits are also in headers."""

import json
from datetime import UTC, datetime

import grpc
import pytest

from services.errors import LimitViolation, Violation
from services.reasons import HttpReason, RequestReason, SpecReason, reason_of
from services.rpc.status_codes import Failure
from services.studio import problem
from services.studio.refused_request import RefusedRequest

GRPC_WORDS = "failed to connect to all addresses; last error: UNKNOWN: ipv4:10.0.3.9:50051: Connection refused"


def test_a_refusal_of_the_api_has_its_reason_and_its_fields_in_the_spelling_of_json() -> None:
    wrong = Violation("spec.image_to_video.prompt", "is empty", RequestReason.INVALID_VALUE)
    failure = Failure(grpc.StatusCode.INVALID_ARGUMENT, "words", RequestReason.INVALID_INPUT, violations=(wrong,))
    answer = problem.of_failure(failure)
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    assert json.loads(answer.body) == {
        "type": "urn:i2v:reason:INVALID_INPUT",
        "title": "Invalid input",
        "status": 400,
        "detail": "spec.imageToVideo.prompt: is empty",
        "reason": "INVALID_INPUT",
        "violations": [
            {"field": "spec.imageToVideo.prompt", "reason": "INVALID_VALUE", "description": "is empty"},
        ],
    }


@pytest.mark.parametrize(
    ("code", "status", "reason"),
    [
        (grpc.StatusCode.UNAVAILABLE, 503, "API_UNAVAILABLE"),
        (grpc.StatusCode.DEADLINE_EXCEEDED, 504, "API_UNAVAILABLE"),
        (grpc.StatusCode.UNKNOWN, 500, "API_FAILED"),
        (grpc.StatusCode.INTERNAL, 500, "API_FAILED"),
    ],
)
def test_a_call_without_a_reason_says_none_of_grpcs_words(code: grpc.StatusCode, status: int, reason: str) -> None:
    answer = problem.of_failure(Failure(code, GRPC_WORDS))
    assert (answer.status_code, json.loads(answer.body)["reason"]) == (status, reason)
    assert b"10.0.3.9" not in bytes(answer.body)
    assert answer.headers.get("retry-after") == ("1" if status == 503 else None)


def test_a_limit_of_the_plan_is_in_the_body_and_in_the_headers() -> None:
    limit = LimitViolation(
        subject="tenant",
        measure="jobs",
        per="day",
        plan="small",
        limit=10,
        used=9,
        asked=2,
        resets_at=datetime(2026, 12, 1, tzinfo=UTC),
        description="10 jobs a day.",
        reason=reason_of("JOBS_LIMIT"),
    )
    failure = Failure(
        grpc.StatusCode.RESOURCE_EXHAUSTED, "10 jobs a day.", "JOBS_LIMIT", limits=(limit,), retry_after_s=61.2
    )
    answer = problem.of_failure(failure)
    assert answer.status_code == 429
    assert answer.headers["ratelimit-policy"] == '"tenant jobs day";q=10'
    assert answer.headers["ratelimit"] == '"tenant jobs day";r=1;t=62'
    assert answer.headers["retry-after"] == "62"
    (found,) = json.loads(answer.body)["limits"]
    assert (found["limit"], found["used"], found["asked"]) == ("10", "9", "2")
    assert found["resetTime"] == "2026-12-01T00:00:00+00:00"


def test_a_limit_of_open_calls_is_in_the_headers() -> None:
    failure = Failure(
        grpc.StatusCode.RESOURCE_EXHAUSTED, "busy", "CALLS_LIMIT_REACHED", {"limit": "100"}, retry_after_s=0.2
    )
    headers = problem.of_failure(failure).headers
    assert headers["ratelimit-policy"] == '"CALLS_LIMIT_REACHED";q=100'
    assert headers["ratelimit"] == '"CALLS_LIMIT_REACHED";r=0;t=1'


def test_names_of_limits_cannot_end_the_text_of_a_header() -> None:
    limit = LimitViolation(
        subject="user",
        measure='jobs:model="x"\r\nSet-Cookie: a=b',
        per="day",
        plan="small",
        limit=1,
        used=5,
        asked=1,
        resets_at=None,
        description="1 a day.",
        reason=SpecReason.MODEL_UNKNOWN,
    )
    failure = Failure(grpc.StatusCode.RESOURCE_EXHAUSTED, "1 a day.", "JOBS_LIMIT", limits=(limit,))
    headers = problem.of_failure(failure).headers
    assert headers["ratelimit"] == '"user jobs:model=_x___Set-Cookie: a=b day";r=0'


def test_a_request_that_is_refused_here_names_its_field_and_says_which_methods_there_are() -> None:
    refused = RefusedRequest(
        "Give 1 to 200.",
        reason=HttpReason.FIELD_MALFORMED,
        param="pageSize",
        status=405,
        headers={"Allow": "GET"},
    )
    answer = problem.of_refusal(refused)
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET")
    assert json.loads(answer.body)["violations"][0]["field"] == "pageSize"
