"""What `i2v verify` prints."""

import json

from i2v.v1 import provenance_pb2

from services.client import verification_text

Verification = provenance_pb2.Verification


def test_the_values_stand_in_one_column_however_long_their_names_are() -> None:
    facts = {"seed": 7, "unsigned_size_bytes": 16919, "model": {"id": "nano"}}
    found = Verification(
        verdict=Verification.GENUINE,
        signer=Verification.OWN,
        signer_name="studio",
        generator="i2v",
        facts_json=json.dumps(facts),
        asset="assets/1",
    )
    first, *rows = verification_text.lines(found)
    assert first.startswith("Genuine")
    values = ("this service's certificate: studio", "i2v", "7", "16919", "id nano", "assets/1")
    assert [row.rindex(value) for row, value in zip(rows, values, strict=True)] == [23] * 6, rows
