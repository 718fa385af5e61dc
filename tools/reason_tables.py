"""Writes the tables of reasons in the docs from the registry: `python -m tools.reason_tables`.

A page has a table where it has the two comments `<!-- reasons: CallReason -->` and `<!-- end of reasons -->`.
"""

import re
from pathlib import Path

from services.reasons import DOMAINS, Reason

DOCS = Path(__file__).resolve().parents[1] / "docs"
TABLE = re.compile(r"(<!-- reasons: (\w+) -->\n).*?(<!-- end of reasons -->)", re.DOTALL)
HEAD = ("| reason | comes with | first step | meaning |", "|---|---|---|---|")


def table(domain: type[Reason]) -> str:
    """Returns the table of a domain, a line for each of its reasons."""
    rows = (f"| `{each}` | {'; '.join(each.codes)} | {each.advice} | {each.meaning} |" for each in domain)
    return "\n".join((*HEAD, *rows)) + "\n"


def with_tables(page: str) -> str:
    """Returns a page with its tables as the registry has them. Raises KeyError for a domain that does not exist."""
    tables = {domain.__name__: table(domain) for domain in DOMAINS}
    return TABLE.sub(lambda found: f"{found[1]}{tables[found[2]]}{found[3]}", page)


def main() -> None:
    """Writes every page of the docs that has other tables than the registry."""
    for page in sorted(DOCS.rglob("*.md")):
        text = page.read_text()
        if (written := with_tables(text)) != text:
            page.write_text(written)
            print(page.relative_to(DOCS.parent))


if __name__ == "__main__":
    main()
