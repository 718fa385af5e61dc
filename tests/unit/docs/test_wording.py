"""The documentation, the protos, the page and the clients use plain, current English."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
CODE = [
    path
    for folder in ("services/studio/pages", "clients/typescript", "clients/go", "clients/java", "clients/python")
    for path in (ROOT / folder).rglob("*")
    if path.suffix in {".js", ".ts", ".html", ".css", ".go", ".java", ".md", ".py"}
    and not {"node_modules", "gen", "dist", "build"} & set(path.relative_to(ROOT).parts)
]
TEXTS = sorted(
    [
        *(ROOT / "README.md", ROOT / "CONTRIBUTING.md"),
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "proto").rglob("*.proto"),
        *CODE,
    ]
)
REPLACEMENTS = {
    "anew": "again",
    "shall": "must, or the present tense",
    "for ever": "permanently",
    "now and then": "periodically",
    "whoever": "everyone who",
    "nobody knows": "is unknown",
    "told": "reported",
    "lacked": "had no",
}
"""Words that readers stumbled over, each with the usual one."""
QUOTED = re.compile(r"^\| `[A-Z].*$|`[^`\n]*`|\"[^\"\n]*\"", re.MULTILINE)
"""Tables of reasons and settings, which are the code's words; code; messages."""


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: str(text.relative_to(ROOT)))
def test_a_text_has_the_usual_word_instead_of_an_old_one(text: Path) -> None:
    prose = QUOTED.sub("", text.read_text())
    found = {word: usual for word, usual in REPLACEMENTS.items() if re.search(rf"\b{word}\b", prose, re.IGNORECASE)}
    assert found == {}
