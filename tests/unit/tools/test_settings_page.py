"""The tables of settings in the documentation are what their tool writes."""

import shutil
from pathlib import Path

import pytest

from tools import settings_page


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    for name in settings_page.PAGES:
        shutil.copy(settings_page.DOCS / name, tmp_path)
    return tmp_path


def test_the_tables_of_the_documentation_are_current() -> None:
    assert settings_page.main(["--check"]) == 0, "python -m tools.settings_page writes them"


@pytest.mark.parametrize("name", settings_page.PAGES)
def test_a_stale_table_is_noticed_and_written(docs: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    current = (docs / name).read_text()
    before, mark, rows = current.partition(settings_page.BEGIN)
    (docs / name).write_text(before + mark + rows.replace("| empty |", "| void |", 1))
    assert settings_page.main(["--check"], docs) == 1
    assert f"{name} is not current" in capsys.readouterr().err
    assert settings_page.main([], docs) == 0
    assert (docs / name).read_text() == current


def test_a_page_without_marks_is_an_error(docs: Path) -> None:
    (docs / "settings.md").write_text("# Settings\n")
    with pytest.raises(ValueError, match="substring not found"):
        settings_page.main([], docs)


def test_a_row_has_the_variable_the_default_and_the_meaning() -> None:
    prefix, settings = settings_page.PAGES["settings.md"]
    rows = settings_page.table(prefix, settings).splitlines()
    assert (
        "| `I2V_LISTEN` | `127.0.0.1:50051` | `host:port` of the gRPC server. A worker answers health there. |" in rows
    )
    assert "| `I2V_REFLECTION` | `true` | gRPC reflection. Switch it off for untrusted networks. |" in rows
    assert any(row.startswith("| `I2V_DATABASE_URL` | empty | ") for row in rows)
    assert any(
        row.startswith("| `INPUT_PRICE_MICROS` | needed | ")
        for row in settings_page.table(*settings_page.PAGES["prompt-writer.md"]).splitlines()
    )
