"""The headers of uploads."""

import pytest
from starlette.requests import Request

from services.studio.refused_request import RefusedRequest
from services.studio.streams import upload_headers


def read(**headers: str) -> upload_headers.UploadHeaders:
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return upload_headers.read(Request({"type": "http", "headers": raw}))


def test_values_of_another_form_are_ignored_as_the_draft_says() -> None:
    for text in ("true", "1", "?2", "", "?1, ?1"):
        assert read(upload_complete=text).complete is None
    assert (read(upload_complete="?1").complete, read(upload_complete="?0;x=1").complete) == (True, False)
    for text in ("-1", "1.5", "٣", "9" * 16, "0x10", ""):
        assert (read(upload_offset=text).offset, read(upload_length=text).length) == (None, None)
    assert read(upload_offset="12;x").offset == 12


def test_digests_of_unknown_algorithms_are_ignored_and_malformed_ones_refused() -> None:
    known = "sha-256=:" + "A" * 43 + "=:"
    found = read(repr_digest=f"md5=:AAAA:, {known}").of_file
    assert found == {"sha-256": bytes(32)}
    for text in ("sha-256=AAAA", "sha-256=:AAAA:", "sha-256=:A:", "sha-256", known + ","):
        with pytest.raises(RefusedRequest):
            read(content_digest=text)
