"""The client reads from a status what the server wrote into it: they share no code, only the form."""

from dataclasses import asdict
from datetime import UTC, datetime, timedelta

import grpc
import pytest
from grpc_status import rpc_status

from i2v_client.failure import from_call
from services.errors import InvalidInput, QuotaExceeded, ServiceError, Unavailable, Violation
from services.reasons import ServiceReason, SpecReason
from services.rpc import status_codes
from tests.support.builders import a_violation

NOW = datetime(2026, 11, 30, 16, tzinfo=UTC)

ERRORS = [
    InvalidInput([Violation("spec.seed", "is no number", SpecReason.MODEL_RETIRED), Violation("data", "is empty")]),
    QuotaExceeded([a_violation("Full."), a_violation("Empty.")], retry_time=NOW + timedelta(hours=2)),
    Unavailable("Later.", reason=ServiceReason.GOING_DOWN, retry_after_s=2.5, metadata={"why": "drain"}),
]


def failed(error: ServiceError) -> grpc.aio.AioRpcError:
    status = rpc_status.to_status(status_codes.to_status(error, now=lambda: NOW))
    trailers = grpc.aio.Metadata(*status.trailing_metadata)
    return grpc.aio.AioRpcError(status.code, grpc.aio.Metadata(), trailers, status.details)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_the_client_reads_what_the_server_wrote(error: ServiceError) -> None:
    call = failed(error)
    ours, servers = from_call(call), status_codes.from_call(call)
    assert asdict(ours) == asdict(servers)
    assert ours.reason == error.reason and ours.message == error.message


def test_a_detail_that_cannot_be_read_is_left_out() -> None:
    trailers = grpc.aio.Metadata(("grpc-status-details-bin", b"\xff\xff"))
    broken = grpc.aio.AioRpcError(grpc.StatusCode.NOT_FOUND, grpc.aio.Metadata(), trailers, "There is none.")
    assert from_call(broken).message == "There is none." and from_call(broken).reason == ""
