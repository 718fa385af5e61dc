"""The docs against the code: what they name exists, and what exists is named."""

import ast
import importlib
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import click
import pytest

from services.client import commands
from services.orchestrator.settings import PREFIX, Settings
from services.orchestrator.store import schema
from services.providers import settings as provider_settings
from services.providers.prompt import settings as prompt_settings
from services.providers.vendors import VENDORS
from services.reasons import DOMAINS, REASONS, Code
from services.studio import settings as studio_settings
from services.tracing import settings as tracing_settings
from tests.support.known_metrics import metrics_of_models, metrics_of_processes
from tools.reason_tables import TABLE, with_tables

ROOT = Path(__file__).resolve().parents[3]
DOCS = ROOT / "docs"
RULES = sorted((ROOT / "deploy/monitoring/rules").glob("*.yaml"))
TOP = ("README.md", "clients/python/README.md", "CONTRIBUTING.md", "CHANGELOG.md", "THIRD_PARTY.md")
PAGES = sorted([*DOCS.rglob("*.md"), *(ROOT / name for name in TOP)])
WORD = re.compile(r"\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b")
CODE = re.compile(r"`([^`\n]+)`")


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def rows(text: str) -> Iterator[list[str]]:
    """The cells of every row of a table whose first cell holds code."""
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| `"):
            yield cells


# --- settings -------------------------------------------------------------------------------------------------------


def client_variables() -> set[str]:
    options = {option.envvar for option in commands.i2v.params if isinstance(option, click.Option) and option.envvar}
    read = re.findall(r'os\.environ\.get\("(I2V_\w+)"', (ROOT / "services/client/connection.py").read_text())
    return {str(name) for name in options} | set(read)


@cache
def known_variables() -> set[str]:
    settings = {PREFIX + name.upper() for name in Settings.model_fields}
    tests = set().union(*(re.findall(r"I2V_TEST_\w+", file.read_text()) for file in (ROOT / "tests").rglob("*.py")))
    fields = provider_settings.Settings.model_fields
    prefixes = [provider_settings.prefix_of(vendor) for vendor in VENDORS]
    providers = {prefix + name.upper() for prefix in prefixes for name in fields}
    prompt = {prompt_settings.PREFIX + name.upper() for name in prompt_settings.Settings.model_fields}
    studio = {studio_settings.PREFIX + name.upper() for name in studio_settings.Settings.model_fields}
    tracing = {tracing_settings.PREFIX + name.upper() for name in tracing_settings.TracingSettings.model_fields}
    return settings | client_variables() | tests | providers | prompt | studio | tracing


def test_a_providers_variables_begin_as_the_page_says() -> None:
    for vendor in VENDORS:
        assert f"`{provider_settings.prefix_of(vendor)}`" in (DOCS / "providers.md").read_text()


def test_every_variable_of_the_client_is_described() -> None:
    described = {cells[0].strip("`") for cells in rows((DOCS / "settings.md").read_text())}
    assert client_variables() <= described


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_no_variable_is_named_that_does_not_exist(page: Path) -> None:
    named = set(re.findall(r"\bI2V_[A-Z0-9_]*[A-Z0-9]\b", page.read_text()))
    assert named <= known_variables()


# --- metrics --------------------------------------------------------------------------------------------------------


@cache
def known_metrics() -> set[str]:
    return set(metrics_of_processes() | metrics_of_models())


def test_every_metric_is_described_with_its_type_and_labels() -> None:
    described = {cells[0].strip("`"): (cells[1], cells[2]) for cells in rows((DOCS / "metrics.md").read_text())}
    assert described == metrics_of_processes() | metrics_of_models()


def test_every_metric_has_a_query_or_an_alert() -> None:
    examples = "".join(re.findall(r"```promql\n(.*?)```", (DOCS / "metrics.md").read_text(), re.DOTALL))
    examples += "".join(file.read_text() for file in RULES)
    used = {re.sub(r"_(bucket|sum|count)$", "", name) for name in re.findall(r"\b(?:i2v|grpc)_\w+", examples)}
    used -= {"grpc_type", "grpc_service", "grpc_method", "grpc_code"}
    assert used == set(metrics_of_processes() | metrics_of_models())


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_no_metric_is_named_that_does_not_exist(page: Path) -> None:
    named = {
        re.sub(r"_(bucket|sum|count)$", "", name)
        for name in re.findall(r"\bgrpc_(?:server|client)_\w+", page.read_text())
    }
    named |= set(re.findall(r"`(i2v_(?!client\b)\w+)", page.read_text()))
    assert named <= known_metrics()


# --- reasons --------------------------------------------------------------------------------------------------------

OF_OTHERS = {
    *("CAP_DAC_OVERRIDE", "FAL_KEY", "GRPC_VERBOSITY", "NOT_ENOUGH_MEMORY", "WAVESPEED_API_KEY"),
    "NO_COLOR",
    "XDG_CONFIG_HOME",
    *(f"OTEL_EXPORTER_OTLP_{name}" for name in ("HEADERS", "CERTIFICATE", "TIMEOUT", "COMPRESSION")),
}
"""Words of the same form that are Linux's, terminals', gRPC's, Triton's log's, or name the vendors' own keys."""


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_tables_of_reasons_are_those_of_the_registry(page: Path) -> None:
    assert page.read_text() == with_tables(page.read_text()), "python -m tools.reason_tables writes them"


def test_every_reason_is_in_one_table_of_the_docs() -> None:
    tables = [found[2] for page in DOCS.glob("*.md") for found in TABLE.finditer(page.read_text())]
    assert sorted(tables) == sorted(domain.__name__ for domain in DOMAINS)


@cache
def known_words() -> set[str]:
    values = set(WORD.findall("".join(file.read_text() for file in (ROOT / "proto").rglob("*.proto"))))
    return set(REASONS) | set(Code) | values | OF_OTHERS


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "CHANGELOG.md"], ids=name_of)
def test_no_reason_is_named_that_does_not_exist(page: Path) -> None:
    named = {code for code in CODE.findall(page.read_text()) if WORD.fullmatch(code)} - known_words()
    settings = known_variables()
    assert {word for word in named if not any(f"_{each}".endswith(f"_{word}") for each in settings)} == set()


# --- everything -----------------------------------------------------------------------------------------------------


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_have_an_existing_target(page: Path) -> None:
    for target, anchor in re.findall(r"\]\(([^)#\s]*)(?:#([^)\s]*))?\)", page.read_text()):
        if re.match(r"\w+:", target):
            continue
        file = (page.parent / target).resolve() if target else page
        assert file.exists(), target
        assert not anchor or anchor in anchors(file), anchor


@cache
def known_tests() -> set[str]:
    text = "".join(file.read_text() for file in (ROOT / "tests").rglob("test_*.py"))
    return set(re.findall(r"def (test_\w+)", text))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_paths_tests_and_constraints_that_are_named_exist(page: Path) -> None:
    tables = schema.metadata.tables
    named = {str(each.name) for table in tables.values() for each in (*table.constraints, *table.indexes)} | set(tables)
    for code in CODE.findall(page.read_text()):
        if re.fullmatch(r"(services|tests|tools|proto|docs|deploy|model_repository)/[\w./-]*", code):
            assert (ROOT / code).exists(), code
        elif re.fullmatch(r"test_\w+", code):
            assert code in known_tests(), code
        elif re.fullmatch(r"(counters|holds|jobs|job_events|ledger_entries)(_[a-z_]+)?", code):
            assert code in named, code


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_examples_in_python_import_what_exists(page: Path) -> None:
    for example in re.findall(r"^```python\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE):
        for node in ast.walk(ast.parse(example)):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("services"):
                module = importlib.import_module(node.module)
                assert not [alias.name for alias in node.names if not hasattr(module, alias.name)]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_no_path_of_one_machine_is_named(page: Path) -> None:
    assert not re.search(r"(?<![\w.`/])/(home|root|work|usr|opt|mnt|tmp|var|Users)/", page.read_text())


def test_every_decision_is_listed_and_has_its_five_headings() -> None:
    index = (DOCS / "adr" / "README.md").read_text()
    decisions = sorted((DOCS / "adr").glob("[0-9]*.md"))
    numbers = [int(page.name[:4]) for page in decisions]
    assert numbers == list(range(1, len(numbers) + 1))
    for page in decisions:
        text = page.read_text()
        assert f"]({page.name})" in index, page.name
        assert text.startswith(f"# {page.name[:4]}. "), page.name
        assert re.findall(r"^## (.+)$", text, re.MULTILINE) == [
            "Status",
            "Context",
            "Decision",
            "Rejected",
            "Consequences",
        ], page.name
