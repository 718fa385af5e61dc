"""The statements that run most often are short enough for the driver to parse each of them once."""

import pytest
from psycopg import _queries

from services.orchestrator.store import admission_statement, event_writer, settlement, stored_bytes

OFTEN = {
    "admission": admission_statement.STATEMENT,
    "event": event_writer.WRITE.text,
    "asset of a job": stored_bytes.NOTE.text,
    "upload": stored_bytes.UPLOAD.text,
    "settlement": settlement.SETTLE.text,
}


@pytest.mark.parametrize("statement", OFTEN.values(), ids=OFTEN)
def test_the_driver_keeps_what_it_has_parsed(statement: str) -> None:
    assert len(statement.encode()) <= _queries.MAX_CACHED_STATEMENT_LENGTH
