"""Packets of Socket.IO whose sender may be hostile, the rate of events, and the pictures and wishes in them."""

import base64

import pytest
from socketio.packet import Packet as Plain

from services.reasons import HttpReason, SocketReason
from services.studio.refused_request import RefusedRequest
from services.studio.socket import generation, handshake, picture
from services.studio.socket.meter import Meter
from services.studio.socket.packet import MALFORMED, Packet

PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)
ASSET = f"assets/{'a' * 64}"


@pytest.mark.parametrize("text", ['2["connect",{}]', '2["disconnect"]', '2["*"]', "2{}", "2[]", "2[1]", "2"])
def test_events_that_are_not_for_clients_have_no_name(text: str) -> None:
    assert Packet(encoded_packet=text).data == [MALFORMED]


def test_events_are_read_as_the_library_does() -> None:
    for text in ('2["set_mode",{"mode":"i2v"}]', '212["a",1]', "31[2]", '0{"key":"k"}'):
        ours, theirs = Packet(encoded_packet=text), Plain(encoded_packet=text)
        assert (ours.packet_type, ours.data, ours.id) == (theirs.packet_type, theirs.data, theirs.id)


def test_attachments_are_few_and_each_has_a_place() -> None:
    with pytest.raises(ValueError, match="attachments"):
        Packet(encoded_packet='53-["a"]')
    whole = Packet(encoded_packet='51-["a",{"_placeholder":true,"num":0}]')
    assert whole.add_attachment(b"x") and whole.data == ["a", b"x"]
    for number in ("7", '"a"', "null"):
        broken = Packet(encoded_packet=f'51-["a",{{"_placeholder":true,"num":{number}}}]')
        assert broken.add_attachment(b"x") and broken.data == [MALFORMED]


def test_a_meter_lets_bursts_pass_and_then_a_rate() -> None:
    now = 0.0
    meter = Meter(2, 4, lambda: now)
    assert [meter.take() for _ in range(6)] == [True] * 4 + [False] * 2
    assert not meter.is_exhausted
    now = 1.5  # 2 owed, 3 more
    assert [meter.take(), meter.take()] == [True, False]
    meter.take(100)
    assert meter.is_exhausted


def test_a_picture_is_bytes_or_base64_or_a_data_uri() -> None:
    text = base64.b64encode(PNG).decode()
    lines = f"{text[:10]}\r\n{text[10:]}"
    for given in (
        PNG,
        bytearray(PNG),
        text,
        lines,
        f"data:image/png;base64,{text}",
        f"data:image/PNG;a=b;base64,{text}",
    ):
        assert picture.read(given) == PNG


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (f"data:image/jpeg;base64,{base64.b64encode(PNG).decode()}", HttpReason.FIELD_MALFORMED),
        ("data:image/png,%89PNG", HttpReason.FIELD_MALFORMED),
        ("data:,", HttpReason.FIELD_MALFORMED),
        ("javascript:alert(1)", HttpReason.URL_UNSUPPORTED),
        (None, HttpReason.FIELD_MALFORMED),
        (bytes(picture.BYTES_MOST + 1), HttpReason.BODY_TOO_LARGE),
    ],
)
def test_anything_else_is_refused(given: object, reason: HttpReason) -> None:
    with pytest.raises(RefusedRequest) as refusal:
        picture.read(given)
    assert (refusal.value.reason, refusal.value.param) == (reason, "image_data")


@pytest.mark.parametrize("seed", [-1, "-1", "", None])
def test_the_originals_random_seeds_are_left_to_the_service(seed: object) -> None:
    assert generation.read({"prompt": "a", "seed": seed}, "t2v", "").wanted.seed is None


def test_a_mode_decides_whether_the_picture_counts() -> None:
    assert generation.read({"prompt": "a"}, "t2v", ASSET).wanted.asset == ""
    assert generation.read({"prompt": "a"}, "i2v", ASSET).wanted.asset == ASSET
    assert generation.read({"prompt": "a", "mode": "i2v", "image": "b" * 64}, "t2v", "").wanted.asset[7] == "b"
    with pytest.raises(RefusedRequest) as refusal:
        generation.read({"prompt": "a"}, "i2v", "")
    assert refusal.value.reason == SocketReason.PICTURE_REQUIRED


def test_a_handshake_names_jobs_and_their_last_frames() -> None:
    jobs = [{"job_id": "a", "frame_index": 4}, {"job_id": "jobs/b"}]
    hello = handshake.read({"key": "k", "user": "ann", "tab": "t", "jobs": jobs})
    assert hello.caller.metadata == (("authorization", "Bearer k"), ("i2v-user", "ann"))
    assert (hello.tab, hello.jobs, hello.follows_all) == ("t", {"jobs/a": 5, "jobs/b": 0}, True)
