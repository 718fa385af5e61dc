"""Which failures mean that no answer came, so that the client may repeat the call."""

import grpc
import pytest

from i2v_client.errors import I2VError, Unreachable, error_of
from i2v_client.failure import Failure
from i2v_client.server_address import DEFAULT
from services.client import error_messages
from tests.support.builders import a_violation

INTERNAL = grpc.StatusCode.INTERNAL


@pytest.mark.parametrize(
    "said",
    [
        "Received RST_STREAM with error code 2",
        "Internal error from Core",  # of grpc.aio, while the server's answer arrives
    ],
)
def test_a_connection_that_was_cut_is_no_answer(said: str) -> None:
    assert isinstance(error_of(Failure(INTERNAL, said)), Unreachable)
    assert type(error_of(Failure(INTERNAL, said, "INTERNAL"))) is I2VError, "a server of ours said so"


def test_what_else_is_internal_is_an_answer() -> None:
    assert type(error_of(Failure(INTERNAL, "A fault of the server."))) is I2VError


def test_a_server_that_has_an_answer_for_too_many_calls_is_not_called_unreachable() -> None:
    said = "This tenant has 32 uploads open, the most allowed. Try again when some have ended."
    failed = error_of(Failure(grpc.StatusCode.RESOURCE_EXHAUSTED, said, "TENANT_UPLOADS_LIMIT_REACHED"))
    assert isinstance(failed, Unreachable)  # the client waits for a place
    assert error_messages.lines(failed, "far:1") == [said]


def test_where_nothing_listens_at_the_default_address_the_cure_is_named() -> None:
    refused = error_of(
        Failure(grpc.StatusCode.UNAVAILABLE, "failed to connect; last error: UNKNOWN: Connection refused")
    )
    assert "Is it running (`make run`)?" in error_messages.lines(refused, DEFAULT)[1]
    assert "make run" not in error_messages.lines(refused, "far:1")[1]


def test_where_to_look_for_the_key_is_not_said_to_a_tenant_that_is_suspended() -> None:
    denied = grpc.StatusCode.PERMISSION_DENIED
    suspended = error_of(Failure(denied, "This tenant is suspended.", "TENANT_SUSPENDED"))
    assert error_messages.lines(suspended, "far:1") == ["This tenant is suspended."]
    revoked = error_of(Failure(grpc.StatusCode.UNAUTHENTICATED, "This API key was revoked.", "API_KEY_REVOKED"))
    assert "I2V_KEY" in error_messages.lines(revoked, "far:1")[1]


def test_limits_that_had_no_room_in_the_answer_are_counted() -> None:
    metadata = {"violations": "30"}
    said = Failure(grpc.StatusCode.RESOURCE_EXHAUSTED, "…", "X", metadata, limits=(a_violation("Full."),) * 9)
    assert error_messages.lines(error_of(said), DEFAULT) == ["Full."] * 9 + ["21 more limits refuse it too."]
    old = Failure(grpc.StatusCode.RESOURCE_EXHAUSTED, "Full.", "X", metadata)
    assert error_messages.lines(error_of(old), DEFAULT) == ["Full."]
