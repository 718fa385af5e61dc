"""The pictures of fragments, and the pace at which a connection gets them."""

import asyncio
import base64
import io

import pytest
from PIL import Image

from services.orchestrator.domain.spec import Size
from services.studio.socket import decoder
from services.studio.socket.pace import PENDING_MOST, Pace
from services.studio.socket.pictures import UnreadableError
from tests.support.live_fragments import fragments


def test_a_fragment_becomes_a_jpeg_for_each_frame() -> None:
    made = decoder.decode(fragments([5], fps=8)[0])
    assert (len(made.data), made.fps) == (5, 8)
    shown = Image.open(io.BytesIO(base64.b64decode(made.data[4].partition(",")[2])))
    assert (shown.format, shown.size) == ("JPEG", (64, 32))


def test_large_frames_are_made_smaller() -> None:
    made = decoder.decode(fragments([1], size=Size(2560, 64))[0])
    assert Image.open(io.BytesIO(base64.b64decode(made.data[0].partition(",")[2]))).size == (1280, 32)


@pytest.mark.parametrize("part", [b"", b"<html>", bytes(1000), fragments([4])[0][:200], fragments([4])[0][500:]])
def test_what_is_no_fragment_is_refused(part: bytes) -> None:
    with pytest.raises(UnreadableError):
        decoder.decode(part)


async def test_a_client_that_acknowledges_gets_as_many_as_it_takes() -> None:
    pace = Pace(lambda: 0, first_ack_s=60)
    for _ in range(PENDING_MOST):
        assert await pace.turn(16)
    waits = asyncio.ensure_future(pace.turn(16))
    await asyncio.sleep(0)
    assert not waits.done()
    pace.acknowledge()
    assert await waits


async def test_a_client_that_acknowledges_nothing_gets_what_its_connection_takes() -> None:
    queued = 10
    pace = Pace(lambda: queued, first_ack_s=0.01)
    for _ in range(PENDING_MOST):
        assert await pace.turn(1000)
    waits = asyncio.ensure_future(pace.turn(1000))
    await asyncio.sleep(0.1)
    assert not waits.done()
    queued = 0
    assert await waits is False
    queued = 10
    pace.acknowledge()  # a late one
    assert await pace.turn(1000)
