"""Writes the tables of settings in the documentation from the fields of the processes' settings.

`python -m tools.settings_page` writes them between two marks of each page; `--check` only compares.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from services.orchestrator import settings as orchestrator
from services.providers import settings as provider
from services.providers.prompt import settings as prompt_writer
from services.settings import EnvironmentSettings
from services.settings_help import described
from services.studio import settings as studio
from services.tracing import settings as tracing

DOCS = Path(__file__).resolve().parents[1] / "docs"
BEGIN, END = "<!-- These rows are written by python -m tools.settings_page. -->\n", "<!-- End of the rows. -->\n"
PAGES: dict[str, tuple[str, type[EnvironmentSettings]]] = {
    "settings.md": (orchestrator.PREFIX, orchestrator.Settings),
    "providers.md": ("", provider.Settings),
    "prompt-writer.md": ("", prompt_writer.Settings),
    "studio.md": ("", studio.Settings),
    "tracing.md": (tracing.PREFIX, tracing.TracingSettings),
}
"""What the variables of each page begin with there, and their fields."""


def table(prefix: str, settings: type[EnvironmentSettings]) -> str:
    """Returns a table of settings in Markdown."""
    rows = "| variable | default | meaning |\n|---|---|---|\n"
    for name, default, meaning in described(settings):
        shown = default if default in ("empty", "needed") else f"`{default}`"
        rows += f"| `{prefix}{name}` | {shown} | {meaning} |\n"
    return rows


def with_table(page: str, rows: str) -> str:
    """Returns a page with other rows between its marks. Raises ValueError if it lacks a mark."""
    head, tail = page.index(BEGIN) + len(BEGIN), page.index(END)
    return page[:head] + rows + page[tail:]


def main(arguments: Sequence[str], docs: Path = DOCS) -> int:
    """Writes the tables, or checks that they are current. Returns the exit code: 1 if they are not."""
    parser = argparse.ArgumentParser(prog="python -m tools.settings_page", description=__doc__)
    parser.add_argument("--check", action="store_true", help="only compare; exits 1 when a table is not current")
    check = parser.parse_args(arguments).check
    for name, (prefix, settings) in PAGES.items():
        file = docs / name
        found = file.read_text()
        wanted = with_table(found, table(prefix, settings))
        if found != wanted and check:
            sys.stderr.write(f"{name} is not current: python -m tools.settings_page writes it\n")
            return 1
        file.write_text(wanted)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
