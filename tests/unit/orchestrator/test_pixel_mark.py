"""The mark in the pixels: faint, always the same, and found again."""

from contextlib import AsyncExitStack
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from prometheus_client import CollectorRegistry

from services.errors import InvalidUpload
from services.orchestrator.backend_connections import BackendTls, connect_backends, open_slot_locks
from services.orchestrator.domain.catalog import Catalog
from services.orchestrator.domain.spec import Size, Spec, TextToVideo
from services.orchestrator.media.pixel_mark import Frames, mark
from services.orchestrator.media.pixel_mark_detector import detect, detect_in
from services.orchestrator.media.probe import find_mark
from services.orchestrator.media.video_writer import VideoWriter
from services.orchestrator.meters.connection_metrics import ConnectionMetrics
from services.orchestrator.ports.backend import GenerationRequest, Output
from services.orchestrator.settings import Settings
from tests.support.builders import a_card
from tools.pixel_mark_attacks import ATTACKS, reencoded

CAT = Path(__file__).parents[2] / "golden" / "cat.png"
NO_TLS = BackendTls(None, None)


def a_pan(frames: int = 16) -> Frames:
    picture = np.asarray(Image.open(CAT).convert("RGB").resize((320, 160)))
    return np.stack([picture[16:144, index : index + 224] for index in range(frames)])


def encoded(frames: Frames, path: Path) -> Path:
    height, width = frames.shape[1:3]
    writer = VideoWriter(width, height, 16)
    writer.add(frames)
    writer.finish(path)
    return path


def test_a_writer_marks_its_fragments_and_its_file_alike(tmp_path: Path) -> None:
    frames = a_pan(8)
    marking, plain = VideoWriter(224, 128, 16, marked=True), VideoWriter(224, 128, 16)
    for block in (frames[:3], frames[3:]):
        assert marking.add(block) == plain.add(mark(block))
    marking.finish(tmp_path / "marking.mp4")
    plain.finish(tmp_path / "plain.mp4")
    assert (tmp_path / "marking.mp4").read_bytes() == (tmp_path / "plain.mp4").read_bytes()


@pytest.mark.parametrize("present", [True, False])
async def test_the_setting_says_whether_the_fake_backend_marks_its_videos(present: bool, tmp_path: Path) -> None:
    card = a_card(sizes=(Size(224, 128),), fps=16)
    spec = card.complete(Spec(card.id, TextToVideo("waves"), seed=7), seed=None, picture=None)
    attempt = GenerationRequest("job", 1, spec, card, None, tmp_path)
    settings = Settings(triton="", fake_slots=1, pixel_mark=present)
    async with AsyncExitStack() as stack:
        metrics, locks = ConnectionMetrics(CollectorRegistry()), open_slot_locks("", stack)
        backend, _ = connect_backends(settings, lambda: Catalog((card,)), stack, NO_TLS, metrics, locks)["fake"]
        outputs = [each async for each in backend.generate(attempt) if isinstance(each, Output)]
    assert [find_mark(each.path) for each in outputs] == [present]


@pytest.mark.parametrize("data", [CAT.read_bytes(), b"", b"\0\0\0\x18ftypisom" + b"\xff" * 100])
def test_the_mark_is_not_looked_for_in_what_is_no_video(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(data)
    with pytest.raises(InvalidUpload):
        find_mark(tmp_path / "file")


def test_the_mark_is_fainter_than_40_db() -> None:
    frames = a_pan()
    error = np.mean((mark(frames).astype(float) - frames) ** 2)
    assert 10 * np.log10(255**2 / error) >= 40


def test_equal_frames_are_marked_equally_in_blocks_of_any_length() -> None:
    frames = a_pan(6)
    parts = [mark(frames[:1]), mark(frames[1:4]), mark(frames[4:])]
    assert np.array_equal(mark(frames), np.concatenate(parts))


def test_a_marked_file_is_recognised_and_an_unmarked_one_is_not(tmp_path: Path) -> None:
    assert detect(encoded(mark(a_pan()), tmp_path / "marked.mp4")).present
    assert not detect(encoded(a_pan(), tmp_path / "plain.mp4")).present


@pytest.mark.parametrize(
    "part",
    [np.s_[:, 6:122, 10:214], np.s_[4:12], np.s_[::3]],
    ids=["a cropped picture", "a cut in time", "frames left out"],
)
def test_a_part_of_a_marked_video_is_recognised(part: tuple[slice, ...], tmp_path: Path) -> None:
    assert detect(encoded(mark(a_pan())[part], tmp_path / "part.mp4")).present


@pytest.mark.parametrize("name", ATTACKS)
def test_a_marked_video_is_recognised_after_an_attack_and_an_unmarked_one_is_not(name: str, tmp_path: Path) -> None:
    frames = a_pan(48)
    for tried, present in ((mark(frames), True), (frames, False)):
        attacked, rate = ATTACKS[name](tried)
        reencoded(attacked, rate, tmp_path / "attacked.mp4")
        assert detect(tmp_path / "attacked.mp4").present is present


def test_every_frame_is_fainter_than_40_db_even_if_it_is_grey_all_over() -> None:
    frames = np.full((2, 90, 250, 3), 128, np.uint8)
    for marked, frame in zip(mark(frames), frames, strict=True):
        error = np.mean((marked.astype(float) - frame) ** 2)
        assert 40 <= 10 * np.log10(255**2 / error) <= 40.2


def test_a_frame_of_one_colour_and_no_frame_have_no_mark() -> None:
    assert not detect_in([np.full((64, 64), 128, np.uint8)]).present
    assert not detect_in([]).present
