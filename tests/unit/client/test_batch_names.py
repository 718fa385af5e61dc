"""The names of a batch's videos and pictures: no text of an input leads out of a folder."""

import io
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from services.client.batch.cropped_picture import cropped
from services.client.batch.picture_path import picture_path
from services.client.batch.row import BadRow, Crop
from services.client.batch.video_name import file_name, folded, stem


def named(prompt: str, name: str = "") -> str:
    return stem(prompt=prompt, name=name, row=3, sample=1, with_index=False)


@given(st.text())
def test_any_prompt_makes_a_name_within_its_folder(prompt: str) -> None:
    name = file_name(named(prompt.encode(errors="ignore").decode()), 100_000)
    assert len(name.encode()) <= 255
    assert ("/" not in name and "\\" not in name and not name.startswith(".") and name.isprintable()) or " " in name
    assert os.path.normpath(f"/videos/{name}").startswith("/videos/")


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("../../etc/passwd", "_.._etc_passwd-1"),
        ("/etc/passwd", "_etc_passwd-1"),
        ("...", "3-1"),
        ("a\nb\0c\u202e", "a_b_c_-1"),
        ("x" * 150, "x" * 100 + "-1"),
        ("猫" * 100, "猫" * 66 + "-1"),
        ("مرحبا", "مرحبا-1"),
    ],
)
def test_a_name_has_the_prompts_beginning(prompt: str, expected: str) -> None:
    assert named(prompt) == expected


def test_an_index_names_a_video_as_the_original_does() -> None:
    assert stem(prompt="a", name="", row=7, sample=2, with_index=True) == "7-2_regular"
    assert named("a prompt", "cat") == "cat-1"


def test_names_that_some_file_system_takes_for_the_same_are_the_same() -> None:
    assert folded("STRASSE.mp4") == folded("straße.mp4")
    assert folded("e\u0301") == folded("\u00c9")


@pytest.mark.parametrize("name", ["../secret.png", "/etc/passwd", "a/../../secret.png", "out.png", "deep/out.png"])
def test_a_picture_outside_the_inputs_folder_is_refused(tmp_path: Path, name: str) -> None:
    root = tmp_path / "in"
    (root / "deep").mkdir(parents=True)
    (tmp_path / "secret.png").write_bytes(b"secret")
    (root / "out.png").symlink_to(tmp_path / "secret.png")
    (root / "deep" / "out.png").symlink_to("../../secret.png")
    with pytest.raises(BadRow, match="out of the input's folder"):
        picture_path(root, name)


def test_a_link_within_the_folder_is_followed_and_what_is_no_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cat.png").write_bytes(b"")
    (tmp_path / "link.png").symlink_to("cat.png")
    assert picture_path(tmp_path, "link.png").name == "cat.png"
    os.mkfifo(tmp_path / "pipe.png")
    for name, why in (("pipe.png", "is no file"), (".", "is no file"), ("gone.png", "No such file"), ("a\0b", "zero")):
        with pytest.raises(BadRow, match=why):
            picture_path(tmp_path, name)


def a_picture(size: tuple[int, int], turned: bool = False) -> bytes:
    picture, to = Image.new("RGB", size, "red"), io.BytesIO()
    picture.paste("blue", (0, 0, size[0] // 2, size[1]))
    exif = Image.Exif()
    if turned:
        exif[0x0112] = 6
    picture.save(to, "JPEG", exif=exif, quality=95)
    return to.getvalue()


def test_the_crop_of_a_data_set_is_applied(tmp_path: Path) -> None:
    file = tmp_path / "cat.jpg"
    file.write_bytes(a_picture((80, 60)))
    with Image.open(io.BytesIO(cropped(file, Crop((40, 10, 80, 40), (80, 60))))) as part:
        assert part.size == (40, 30) and part.format == "PNG"
        assert part.convert("RGB").getpixel((20, 15)) == pytest.approx((255, 0, 0), abs=6)


def test_a_crop_that_was_chosen_for_the_turned_picture_is_applied_to_it(tmp_path: Path) -> None:
    file = tmp_path / "cat.jpg"
    file.write_bytes(a_picture((80, 60), turned=True))
    with Image.open(io.BytesIO(cropped(file, Crop((0, 0, 60, 40), (60, 80))))) as part:
        assert part.size == (60, 40)
        assert part.convert("RGB").getpixel((30, 20)) == pytest.approx((0, 0, 255), abs=6)


@pytest.mark.parametrize(
    ("crop", "why"),
    [
        (Crop((0, 0, 81, 60), (80, 60)), "is not within"),
        (Crop((-1, 0, 10, 10), None), "is not within"),
        (Crop((10, 0, 10, 10), None), "is not within"),
        (Crop((0, 0, 10, 10), (90, 60)), "its crop is for 90x60"),
    ],
)
def test_a_crop_that_does_not_fit_is_refused(tmp_path: Path, crop: Crop, why: str) -> None:
    file = tmp_path / "cat.jpg"
    file.write_bytes(a_picture((80, 60)))
    with pytest.raises(BadRow, match=why):
        cropped(file, crop)


def test_what_is_no_picture_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "cat.png"
    file.write_bytes(b"\x7fELF no picture")
    with pytest.raises(BadRow, match="cannot be read as a picture"):
        cropped(file, Crop((0, 0, 1, 1), None))
