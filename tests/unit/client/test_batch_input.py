"""The inputs of a batch: every kind, and what is wrong with some."""

import json
import os
from pathlib import Path

import pytest

from services.client.batch.row import BadInput, BadRow, Crop, Row
from services.client.batch.sources import Source


def rows(path: Path, **more: object) -> list[object]:
    """Returns the rows; the reason for one that cannot be made."""
    found = Source(path, **more).rows()  # type: ignore[arg-type]
    return [str(row) if isinstance(row, BadRow) else row for row in found]


def written(folder: Path, name: str, text: str | bytes) -> Path:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return file


@pytest.mark.parametrize(
    "data",
    [
        'prompt,image\na "b"' + "\ud7ff,кот.png\n",
        '\ufeffprompt,image\r\n"a ""b""\ud7ff",кот.png\r\n\r\n',
        'Prompt;IMAGE\r\na "b"\ud7ff;кот.png',
        'image\tprompt\nкот.png\ta "b"\ud7ff\n',
    ],
    ids=["unix", "excel", "semicolons", "tabs"],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_table_is_read_in_every_form_that_programs_write(tmp_path: Path, data: str, encoding: str) -> None:
    text = data.removeprefix("\ufeff") if encoding == "utf-16" else data
    assert rows(written(tmp_path, "in.csv", text.encode(encoding))) == [Row('a "b"\ud7ff', "кот.png")]


def test_a_cell_may_have_commas_and_line_ends(tmp_path: Path) -> None:
    file = written(tmp_path, "in.csv", 'prompt,seed\r\n"one,\r\ntwo",7\r\n')
    assert rows(file) == [Row("one,\r\ntwo", seed=7)]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"image,seed\na,1\n", "no column prompt"),
        (b"prompt,colour\na,1\n", "no column 'colour'"),
        (b"prompt,caption\na,1\n", "twice"),
        (b'prompt\n"open\n', "line"),
        (b"prompt\n\xff\xff\n", "is not utf-8"),
        (b"", "no column prompt"),
        (b"prompt\n" + b"x" * (1024 * 1024 + 1), "line 2 has more than"),
    ],
)
def test_a_table_that_cannot_be_read_is_refused_as_a_whole(tmp_path: Path, data: bytes, why: str) -> None:
    with pytest.raises(BadInput, match=why):
        rows(written(tmp_path, "in.csv", data))


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ('{"prompt": "a", "prompt": "b"}', "twice"),
        ('{"prompt": "a", "caption": "b"}', "twice"),
        ('{"prompt": "\\ud800"}', "no JSON that is taken"),
        ("[" * 5000, "no JSON that is taken"),
        ('["a"]', "no JSON object"),
        ('{"prompt": 7}', "is no text"),
        ('{"prompt": "a", "seed": -1}', "whole number"),
        ('{"prompt": "a", "seed": true}', "whole number"),
        ('{"prompt": "a", "seed": 1.5}', "whole number"),
        ('{"prompt": "a", "seed": 1e400}', "whole number"),
        ('{"prompt": "a", "colour": "red"}', "no field 'colour'"),
        ('{"prompt": " \\u200b "}', "no prompt"),
        ("{", "no JSON that is taken"),
    ],
)
def test_a_line_that_is_wrong_is_named_and_the_others_are_read(tmp_path: Path, line: str, why: str) -> None:
    file = written(tmp_path, "in.jsonl", f'{{"prompt": "one"}}\r\n{line}\n\n{{"caption": "two", "seed": "9"}}')
    first, bad, last = rows(file)
    assert (first, last) == (Row("one"), Row("two", seed=9))
    assert isinstance(bad, str) and why in bad


def test_a_text_file_has_a_prompt_a_line_or_a_picture_too(tmp_path: Path) -> None:
    prompts = written(tmp_path, "prompts.txt", "\ufeffone | two\r\n\r\n  three  \n")
    assert rows(prompts) == [Row("one | two"), Row("three")]
    pairs = written(tmp_path, "pairs.txt", 'a b.png | it | moves\n"c.png"\t"it"\nno pair\n')
    assert rows(pairs, pictures_needed=True) == [
        Row("it | moves", "a b.png"),
        Row("it", "c.png"),
        "it has no tab or | between a picture and a prompt",
    ]


def test_a_pair_is_no_prompt(tmp_path: Path) -> None:
    written(tmp_path, "cat.png", b"")
    file = written(tmp_path, "pairs.txt", "cat.png | it moves\na cat | it moves\n")
    assert rows(file) == [
        "it begins with a picture; --i2v reads pairs of a picture and a prompt",
        Row("a cat | it moves"),
    ]


@pytest.mark.parametrize("name", ["rows.json", "cat.png", "rows.xlsx"])
def test_a_file_of_another_kind_is_no_list_of_prompts(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadInput, match="is of no kind that is taken: a folder"):
        rows(written(tmp_path, name, '[\n{"prompt": "a"}\n]'))


def test_a_pipe_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "rows.csv")
    with pytest.raises(BadInput, match="is no file"):
        rows(tmp_path / "rows.csv")


def test_a_folder_gives_each_picture_its_text_or_the_prompt_of_all(tmp_path: Path) -> None:
    for name in ("b.PNG", "a.jpg", "猫.webp", ".hidden.png", "notes.md"):
        written(tmp_path, name, b"")
    written(tmp_path, "a.txt", "\ufeffIt\r\nmoves.\r\n")
    assert rows(tmp_path, prompt="It waits.") == [
        Row("It moves.", "a.jpg", name="a"),
        Row("It waits.", "b.PNG", name="b"),
        Row("It waits.", "猫.webp", name="猫"),
    ]
    assert "b.PNG has no prompt" in str(rows(tmp_path)[1])


def test_a_name_that_is_not_utf_8_is_refused_alone(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.png")).touch()
    first, bad = rows(tmp_path, prompt="It moves.")
    assert isinstance(first, Row) and "is not UTF-8" in str(bad)


def a_data_set(folder: Path, *entries: object) -> Path:
    written(folder, "26-15/cat.png", b"")
    written(folder, "target_crop_info_26-15.json", json.dumps(list(entries)))
    return folder


def an_entry(**more: object) -> dict[str, object]:
    crop = {"target_bbox": [0, 10, 260, 160], "target_ratio": "26-15"}
    entry = {"file_name": "cat.png", "caption": "It moves.", "target_crop": crop, "type": "cat"}
    return entry | {"origin_width": 260, "origin_height": 200} | more


def test_a_data_set_of_self_forcing_has_crops(tmp_path: Path) -> None:
    folder = a_data_set(
        tmp_path, an_entry(), an_entry(caption=7), an_entry(target_crop={"target_bbox": [1, 2, 3.5, 4]})
    )
    good, *bad = rows(folder, pictures_needed=True)
    assert good == Row("It moves.", "cat.png", crop=Crop((0, 10, 260, 160), (260, 200)))
    assert [str(each)[:20] for each in bad] == ["it needs file_name, "] * 2
    assert Source(folder).root == folder / "26-15"
    assert Source(folder / "target_crop_info_26-15.json").root == folder / "26-15"


def test_a_folder_with_two_data_sets_is_refused(tmp_path: Path) -> None:
    written(a_data_set(tmp_path), "target_crop_info_1-1.json", "[]")
    with pytest.raises(BadInput, match="name one of them"):
        rows(tmp_path)


def test_an_extended_prompt_makes_the_video_and_the_other_names_it(tmp_path: Path) -> None:
    prompts, longer = written(tmp_path, "in.txt", "a\nb\n"), written(tmp_path, "long.txt", "a long\nb long\n")
    assert rows(prompts, extended_prompts=longer) == [
        Row("a", extended_prompt="a long"),
        Row("b", extended_prompt="b long"),
    ]
    for text, why in (("a\n", "fewer lines"), ("a\nb\nc\n", "more lines")):
        with pytest.raises(BadInput, match=why):
            rows(prompts, extended_prompts=written(tmp_path, "long.txt", text))


def test_every_row_needs_a_picture_if_the_caller_says_so(tmp_path: Path) -> None:
    file = written(tmp_path, "in.csv", "prompt,image\na,\n")
    assert rows(file) == [Row("a")]
    assert rows(written(tmp_path, "in.jsonl", '{"image": "a.png"}'), prompt="It waits.") == [Row("It waits.", "a.png")]
    assert rows(file, pictures_needed=True) == ["it has no picture, which --i2v needs"]
