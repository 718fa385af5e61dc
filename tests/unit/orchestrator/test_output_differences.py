"""A vendor's video compared with the request: small differences do not count."""

import pytest

from services.orchestrator.domain.media_info import VideoInfo
from services.orchestrator.domain.output_differences import output_differences
from services.orchestrator.domain.spec import ImageToVideo, Operation, Spec, TalkingAvatar

MOVES = ImageToVideo("a" * 64, "it moves")
SOUNDS = ImageToVideo("a" * 64, "it moves", audio="b" * 64)
SPEAKS = TalkingAvatar("a" * 64, "b" * 64)


@pytest.mark.parametrize(
    ("operation", "size", "seconds", "sound", "reasons"),
    [
        (MOVES, (1280, 720), 5.0, None, []),
        (MOVES, (720, 1280), 5.5, None, []),
        (MOVES, (1280, 704), 4.5, 5.0, []),
        (MOVES, (1280, 703), 5.0, None, ["OUTPUT_SIZE"]),
        (MOVES, (1280, 720), 5.51, None, ["OUTPUT_LENGTH"]),
        (SOUNDS, (1280, 720), 5.0, 3.0, []),
        (SOUNDS, (1280, 720), 5.0, None, ["OUTPUT_SILENT"]),
        (SPEAKS, (720, 720), 5.2, 5.5, []),
        (SPEAKS, (720, 720), 5.2, 4.4, ["OUTPUT_SOUND_LENGTH"]),
        (SPEAKS, (720, 720), 3.4, None, ["OUTPUT_LENGTH", "OUTPUT_SILENT"]),
    ],
)
def test_a_mismatch_is_reported(
    operation: Operation, size: tuple[int, int], seconds: float, sound: float | None, reasons: list[str]
) -> None:
    spec = Spec("m", operation, duration_ms=5000, resolution="720p")
    info = VideoInfo("video/mp4", *size, 120, 24, seconds, sound)
    assert [warning.reason for warning in output_differences(spec, info, {})] == reasons


def test_a_promised_value_that_is_not_a_number_is_ignored() -> None:
    info = VideoInfo("video/mp4", 64, 32, 120, 24, 5)
    spec = Spec("m", MOVES, duration_ms=5000)
    assert list(output_differences(spec, info, {"width": "wide", "height": "9" * 99})) == []
    assert [each.message for each in output_differences(spec, info, {"width": "65"})] == [
        "The video is 64x32; the vendor promised a width of 65."
    ]
