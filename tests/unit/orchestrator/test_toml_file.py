"""The line of what is wrong with a file is the line that an operator must change."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.orchestrator.domain.toml_file import (
    NESTED_MOST,
    Lines,
    Place,
    Problem,
    UnusableTables,
    decoded,
    tables_of,
)

FILE = '''# A comment with [brackets], "quotes" and a = sign.
title = "a # no comment, and [no] array"

[plans.free] # why
weight = 1
"a quoted.key" = 2
models = [ # the first
  "nano", # [not, an, array]
  'other # one',

  """three
lines""",
  "last" ]
limits = [
  { count = "jobs", most = 1 }, { count = "spend", most = 2 },
  # { count = "unfinished" },
  { count = "queued", most = [1, 2] },
]
nested.key.deep = 5

[plans."paid plan"]
weight = 3

[[jobs]]
name = "a"
[[jobs]]
name = "b"
'''


@pytest.mark.parametrize(
    ("at", "line"),
    [
        ((), 1),
        (("title",), 2),
        (("plans", "free"), 4),
        (("plans", "free", "weight"), 5),
        (("plans", "free", "a quoted.key"), 6),
        (("plans", "free", "models"), 7),
        (("plans", "free", "models", 0), 8),
        (("plans", "free", "models", 1), 9),
        (("plans", "free", "models", 2), 11),
        (("plans", "free", "models", 3), 13),
        (("plans", "free", "limits", 0), 15),
        (("plans", "free", "limits", 1, "most"), 15),
        (("plans", "free", "limits", 2, "most", 1), 17),
        (("plans", "free", "nested", "key", "deep"), 19),
        (("plans", "paid plan", "weight"), 22),
        (("jobs", 0, "name"), 25),
        (("jobs", 1), 26),
        (("jobs", 1, "name"), 27),
    ],
)
def test_each_position_has_its_line(at: Place, line: int) -> None:
    tables_of(FILE)
    assert Lines(FILE).of(at) == line
    assert Lines(FILE.replace("\n", "\r\n")).of(at) == line


@pytest.mark.parametrize(
    ("at", "line"),
    [
        (("plans", "free", "priority"), 4),
        (("plans", "free", "limits", 2, "for"), 17),
        (("plans", "none"), 4),
        (("nothing",), 1),
        (("jobs", 1, "missing"), 26),
    ],
)
def test_a_missing_key_has_the_line_of_its_table(at: Place, line: int) -> None:
    assert Lines(FILE).of(at) == line


KEYS = st.text(st.characters(categories=("L", "N", "P", "S", "Z"), exclude_characters="\r\n"), max_size=8)


@given(st.lists(st.tuples(KEYS, st.integers(0, 3), st.booleans()), max_size=8, unique_by=lambda each: each[0]))
def test_any_keys_and_arrays_are_found_where_they_were_written(keys: list[tuple[str, int, bool]]) -> None:
    lines = ["[table]"]
    places: dict[Place, int] = {}
    for key, elements, spread in keys:
        quoted = '"' + key.replace("\\", "\\\\").replace('"', '\\"') + '"'
        places["table", key] = len(lines) + 1
        texts = [f"[{quoted}, '#,[']" for _ in range(elements)]
        if spread:
            lines.append(f"{quoted} = [ # {key}")
            for index, text in enumerate(texts):
                places["table", key, index] = len(lines) + 1
                lines.append(f"  {text}, # ] {key}")
            lines.append("]")
        else:
            lines.append(f"{quoted} = [{', '.join(texts)}]")
    text = "\n".join(lines)
    assert set(tables_of(text)["table"]) == {key for key, _, _ in keys}
    assert {at: Lines(text).of(at) for at in places} == places


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("a = 1\nb =\n", 2, "Invalid value"),
        ("a = 1\n\nb = [1", 3, "Unclosed array"),
        ("a = 1\na = 2\n", 2, "Cannot overwrite a value"),
        ("[a]\nb = 1\n[a]\n", 3, r"Cannot declare \('a',\) twice"),
        ("a = 1\nb = '\x00'\n", 2, "Found invalid character"),
        ("a = 1\nb = " + "9" * 5000, 2, "too many digits"),
        ("a = 1\nb = " + "[" * 3000, 2, f"nested more than {NESTED_MOST} deep"),
        ("a = 1\nb" + ".b" * 100_000 + " = 1", 2, f"nested more than {NESTED_MOST} deep"),
        ("a = 1\n['b'" + ' . "b"' * 100_000 + "]", 2, f"nested more than {NESTED_MOST} deep"),
        ("a = 1\nb = " + "{x=" * 3000, 2, f"nested more than {NESTED_MOST} deep"),
    ],
)
def test_a_file_that_is_not_toml_is_refused_with_the_line(text: str, line: int, what: str) -> None:
    with pytest.raises(UnusableTables, match=f"^line {line}: .*{what}"):
        tables_of(text)


def test_bytes_that_are_not_text_are_refused_with_the_line() -> None:
    assert decoded("a = 'ü'".encode()) == "a = 'ü'"
    with pytest.raises(UnusableTables, match=r"^line 2: this is not UTF-8$"):
        decoded(b"a = 1\nb = '\xff'")


def test_of_many_problems_the_first_twenty_are_shown_with_their_lines() -> None:
    text = "\n".join(f"k{n} = {n}" for n in range(30))
    located = UnusableTables([Problem((f"k{n}",), "is wrong") for n in range(30)]).located(text)
    assert [each.line for each in located.problems] == list(range(1, 21))
    assert str(located).startswith("line 1: is wrong; line 2: is wrong; ")
