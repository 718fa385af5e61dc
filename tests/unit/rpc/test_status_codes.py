"""Every kind of failure becomes its code with its details, and a client reads them back."""

import json
import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import grpc
import pytest
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from services import errors
from services.reasons import CallReason, RequestReason, ServiceReason, SpecReason
from services.rpc import logs
from services.rpc.status_codes import CODES, Failure, from_call, to_status
from services.rpc.telemetry import CODE_NAMES
from tests.support.builders import a_violation

NOW = datetime(2026, 11, 1, tzinfo=UTC)
A_VIOLATION = errors.Violation("spec.duration", "is 60 s; the model makes 5 s or 10 s", SpecReason.DURATION_UNSUPPORTED)


def a_full_quota() -> errors.QuotaExceeded:
    reason = RequestReason.USER_ACTIVE_JOBS_EXCEEDED
    return errors.QuotaExceeded([a_violation(measure="unfinished", per="at-a-time", limit=3, used=3, reason=reason)])


ONE_OF_EACH = [
    (errors.InvalidSpec([A_VIOLATION]), code_pb2.INVALID_ARGUMENT),
    (errors.InvalidUpload([A_VIOLATION]), code_pb2.INVALID_ARGUMENT),
    (errors.Unauthenticated(reason=CallReason.API_KEY_MISSING), code_pb2.UNAUTHENTICATED),
    (errors.PermissionDenied(reason=CallReason.OPERATORS_ONLY), code_pb2.PERMISSION_DENIED),
    (errors.NotFound("job", "jobs/7"), code_pb2.NOT_FOUND),
    (errors.RequestIdReused(), code_pb2.ALREADY_EXISTS),
    (errors.PreconditionFailed(reason=RequestReason.NOT_RESUMABLE), code_pb2.FAILED_PRECONDITION),
    (a_full_quota(), code_pb2.RESOURCE_EXHAUSTED),
    (errors.Unavailable(reason=ServiceReason.GOING_DOWN), code_pb2.UNAVAILABLE),
    (errors.DeadlineTooShort(), code_pb2.DEADLINE_EXCEEDED),
]

M = TypeVar("M", bound=Message)


def detail(status: status_pb2.Status, kind: type[M]) -> M:
    found = kind()
    assert sum(each.Unpack(found) for each in status.details) == 1
    return found


def has(status: status_pb2.Status, kind: type[Message]) -> bool:
    return any(each.Is(kind.DESCRIPTOR) for each in status.details)


def sent_to_a_client(status: status_pb2.Status) -> Failure:
    wire = rpc_status.to_status(status)
    metadata = grpc.aio.Metadata(*wire.trailing_metadata)
    return from_call(grpc.aio.AioRpcError(wire.code, grpc.aio.Metadata(), metadata, wire.details))


@pytest.mark.parametrize(("error", "code"), ONE_OF_EACH, ids=lambda each: type(each).__name__)
def test_every_kind_has_its_code_and_its_reason(error: errors.ServiceError, code: int) -> None:
    status = to_status(error)
    info = detail(status, error_details_pb2.ErrorInfo)
    assert (status.code, status.message) == (code, error.message)
    assert (info.reason, info.domain, dict(info.metadata)) == (error.reason, "i2v", error.metadata)


def test_no_kind_is_forgotten() -> None:
    kinds = set(errors.ServiceError.__subclasses__())
    assert kinds | {errors.GaveWay} == set(CODES)


def test_invalid_input_names_each_field_with_its_reason() -> None:
    other = errors.Violation("spec.size", "is 1x1")
    bad = detail(to_status(errors.InvalidSpec([A_VIOLATION, other])), error_details_pb2.BadRequest)
    assert [(v.field, v.description, v.reason) for v in bad.field_violations] == [
        ("spec.duration", "is 60 s; the model makes 5 s or 10 s", "DURATION_UNSUPPORTED"),
        ("spec.size", "is 1x1", "INVALID_VALUE"),
    ]


def test_not_found_names_the_resource() -> None:
    resource = detail(to_status(errors.NotFound("job", "jobs/7")), error_details_pb2.ResourceInfo)
    assert (resource.resource_type, resource.resource_name) == ("job", "jobs/7")


def test_a_quota_that_resets_says_when_to_come_back() -> None:
    resets_at = NOW + timedelta(minutes=90)
    spent = a_violation("Spent.", limit=100, used=90, asked=20, resets_at=resets_at)
    error = errors.QuotaExceeded([spent, a_violation("Full.", subject="tenant")], retry_time=resets_at)
    status = to_status(error, now=lambda: NOW)
    first, second = detail(status, error_details_pb2.QuotaFailure).violations
    assert (first.subject, first.description, first.quota_value) == ("user", "Spent.", 100)
    assert (first.quota_id, first.quota_metric) == ("USER_BUDGET_EXCEEDED", "spend")
    assert dict(first.quota_dimensions) == {
        "used": "90",
        "asked": "20",
        "per": "month",
        "plan": "test",
        "resets_at": resets_at.isoformat(),
    }
    assert (second.subject, status.message) == ("tenant", "Spent. Full.")
    assert detail(status, error_details_pb2.RetryInfo).retry_delay.seconds == 5400


def test_a_hundred_violations_leave_room_for_the_advice_to_wait() -> None:
    many = [a_violation("It is used up. " * 20, measure=f"jobs:model={number}", resets_at=NOW) for number in range(100)]
    status = to_status(errors.QuotaExceeded(many, retry_time=NOW), now=lambda: NOW)
    assert 3 < len(detail(status, error_details_pb2.QuotaFailure).violations) < 100
    assert has(status, error_details_pb2.RetryInfo)
    assert status.ByteSize() <= 4800


def test_a_quota_that_does_not_reset_does_not_invite_a_retry() -> None:
    status = to_status(a_full_quota())
    assert has(status, error_details_pb2.QuotaFailure)
    assert not has(status, error_details_pb2.RetryInfo)


def test_a_client_reads_back_what_was_said() -> None:
    invalid = sent_to_a_client(to_status(errors.InvalidSpec([A_VIOLATION])))
    assert invalid.code is grpc.StatusCode.INVALID_ARGUMENT
    assert (invalid.reason, invalid.violations) == ("INVALID_INPUT", (A_VIOLATION,))
    limits = (
        a_violation("Spent.", limit=2**53, resets_at=NOW),
        a_violation("Full.", subject="tenant", per="at-a-time"),
    )
    assert sent_to_a_client(to_status(errors.QuotaExceeded(limits), now=lambda: NOW)).limits == limits
    error = errors.Unavailable("Later.", reason=ServiceReason.GOING_DOWN, retry_after_s=2.5, metadata={"a": "b"})
    unavailable = sent_to_a_client(to_status(error))
    assert (unavailable.message, unavailable.retry_after_s, unavailable.metadata) == ("Later.", 2.5, {"a": "b"})


def test_a_client_reads_a_word_that_only_a_newer_server_knows() -> None:
    status = to_status(errors.InvalidSpec([A_VIOLATION]))
    bad = error_details_pb2.BadRequest(
        field_violations=[
            error_details_pb2.BadRequest.FieldViolation(field="spec.f", description="is odd", reason="NEW")
        ]
    )
    status.details[1].Pack(bad)
    [violation] = sent_to_a_client(status).violations
    assert (violation.reason, str(violation.reason), violation.reason.codes) == ("NEW", "NEW", ())


def test_an_answer_without_details_is_understood_too() -> None:
    plain = grpc.aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, grpc.aio.Metadata(), grpc.aio.Metadata(), "no route")
    assert from_call(plain) == Failure(grpc.StatusCode.UNAVAILABLE, "no route")
    broken = grpc.aio.Metadata(("grpc-status-details-bin", b"\xff\xff"))
    garbled = grpc.aio.AioRpcError(grpc.StatusCode.NOT_FOUND, grpc.aio.Metadata(), broken, "gone")
    assert from_call(garbled) == Failure(grpc.StatusCode.NOT_FOUND, "gone")


@pytest.mark.parametrize("character", ["a", "é", "画"])
def test_a_status_stays_small_enough_for_a_header(character: str) -> None:
    violations = [errors.Violation(f"spec.f{n}", character * 5000, "TOO_LONG") for n in range(50)]
    status = to_status(errors.InvalidSpec(violations, metadata={"given": character * 5000}))
    wire = rpc_status.to_status(status)
    bytes_on_the_wire = len(wire.details.encode()) * 3 + sum(len(v) for _, v in wire.trailing_metadata) * 4 // 3
    assert bytes_on_the_wire < 8000
    failure = sent_to_a_client(status)
    assert failure.reason == "INVALID_INPUT"
    assert failure.violations[0].field == "spec.f0"


def test_what_is_not_ours_is_told_to_the_log_and_not_to_the_caller(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        status = to_status(RuntimeError("secret table name"))
    error_id = detail(status, error_details_pb2.ErrorInfo).metadata["error_id"]
    assert status.code == code_pb2.INTERNAL
    assert "secret" not in str(status)
    assert error_id in status.message
    assert error_id == vars(caplog.records[0])["error_id"]
    assert "secret table name" in caplog.text


def test_codes_are_spelled_as_go_spells_them() -> None:
    assert [CODE_NAMES[number] for number in range(17)] == [
        *("OK", "Canceled", "Unknown", "InvalidArgument", "DeadlineExceeded", "NotFound", "AlreadyExists"),
        *("PermissionDenied", "ResourceExhausted", "FailedPrecondition", "Aborted", "OutOfRange", "Unimplemented"),
        *("Internal", "Unavailable", "DataLoss", "Unauthenticated"),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "authorization: Bearer hunter2",
        "{'authorization': 'Bearer hunter2'}",
        "('authorization', 'Bearer hunter2')",
        "authorization=hunter2",
        "sent bearer hunter2, refused",
        "postgresql://i2v:hunter2@db/i2v",
        "password=hunter2 host=db",
        "https://s3/bucket?X-Amz-Signature=hunter2&x=1",
    ],
)
def test_no_credential_gets_into_a_log_line(text: str) -> None:
    record = logging.makeLogRecord({"msg": text, "api_key": "hunter2", "where": text})
    assert "hunter2" not in logs.JsonLines().format(record)
    assert "hunter2" not in logs.TextLines().format(record)


def test_a_log_line_is_json_with_what_is_bound_to_it() -> None:
    with logs.bound(job_id="7", tenant="acme"), logs.bound(tenant="other"):
        record = logging.makeLogRecord(
            {"name": "n", "levelname": "INFO", "msg": "made %d", "args": (3,), "created": 0.5}
        )
        line = json.loads(logs.JsonLines().format(record))
    assert line == {
        "time": "1970-01-01T00:00:00.500Z",
        "level": "INFO",
        "logger": "n",
        "message": "made 3",
        "job_id": "7",
        "tenant": "other",
    }


def test_an_exception_is_one_field_of_its_line() -> None:
    try:
        raise ValueError("Bearer hunter2")
    except ValueError as error:
        record = logging.makeLogRecord({"msg": "failed", "exc_info": (type(error), error, error.__traceback__)})
    line = logs.JsonLines().format(record)
    assert "\n" not in line
    assert json.loads(line)["exception"].endswith("ValueError: Bearer [redacted]")


def test_a_lack_of_our_own_resources_is_unavailable_and_says_when_to_come_again() -> None:
    with pytest.raises(OSError, match="No space") as full:
        Path("/dev/full").write_bytes(b"a byte")
    status = to_status(full.value)
    assert status.code == code_pb2.UNAVAILABLE
    assert detail(status, error_details_pb2.ErrorInfo).reason == "DISK_FULL"
    assert detail(status, error_details_pb2.RetryInfo).retry_delay.seconds == 5
