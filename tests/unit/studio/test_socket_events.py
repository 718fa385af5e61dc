"""The fields of an event of Socket.IO."""

import pytest

from services.studio.refused_request import RefusedRequest
from services.studio.socket import generation
from services.studio.socket.fields_of_event import size

LARGE = "a" * 1_000_000


@pytest.mark.parametrize(
    "arguments",
    [
        ({"image_data": LARGE},),
        ({"image_data": [[LARGE]]},),
        ({LARGE: 1},),
        ({}, {"more": {"deeper": LARGE}}),
        ([LARGE],),
        (LARGE,),
        ({"image_data": LARGE.encode()},),
    ],
    ids=lambda given: str(given)[:40],
)
def test_the_size_of_an_event_is_that_of_all_its_texts(arguments: tuple[object, ...]) -> None:
    assert len(LARGE) <= size(arguments) < len(LARGE) + 100


@pytest.mark.parametrize("request_id", ["", "a" * 256, "half a pair: \ud800", 7, ["a"]])
def test_a_request_id_that_cannot_be_one_is_refused_with_its_field(request_id: object) -> None:
    with pytest.raises(RefusedRequest) as refused:
        generation.read({"prompt": "a", "request_id": request_id}, generation.TEXT, "")
    assert refused.value.param == "request_id"
