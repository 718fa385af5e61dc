"""The commands that the documentation shows, unchanged."""

import re
import shlex
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.documented_steps import without_steps

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "clients/python/README.md",
    *sorted((ROOT / "docs").glob("*.md")),
]
LANGUAGES = {"": "shell", "sh": "shell", "shell": "shell", "bash": "shell", "console": "shell", "python": "python"}
"""How a block is run, by the language of its fence. A picture or a tree has the language `text`."""
NOT_RUN = {
    r"make (setup|test|check)": "CI is `make test`, which runs all that they do",
    r"make demo": "test_demo.py runs it",
    r"make run( SIMULATE=1)?": "it is the stack that the commands are run against",
    r"make models": "`make test` builds them",
    r"make models PROFILE=.* OPTIONS=--plan": "a make target would set up once more, while other tests run",
    r"make models PROFILE=\S+ \\\n +WEIGHTS=.*": "needs downloaded weights; test_published_weights.py builds some",
    r"make run PROFILE=\S+": "needs a GPU and downloaded weights",
    r"make models PROFILE=\S+ OPTIONS=--random && make run PROFILE=\S+": "needs a GPU",
    r"python -m tools\.bench_transformer .*": "needs a GPU",
    r"make (train|judge)": "takes hours",
    r"pip install aiperf|echo .* > prompts\.jsonl|aiperf profile .*": "needs a gigabyte of packages of another project",
    r"python -m sglang\..*": "needs a gigabyte of packages of another project",
    r"import asyncio, os, socketio.*": "needs the HTTP process; test_socket_page.py runs it",
    r"kubectl .*|kind load .*": "needs a cluster; tests/contract/test_manifests.py renders what it applies",
    r"i2v --key-file .*|i2v admin .*": "needs the API of a cluster; test_admin_commands.py runs such commands",
    r"export I2V_DATABASE_URL=.*": "names a database of yours",
    r"python -m services\.orchestrator\.backup (check|restore) .*": "needs a backup; test_backup.py runs it",
    r"sh deploy/make-secrets": "writes into the checkout; test_compose_file.py runs a copy",
    r"python -m services\.orchestrator\.models publish .*": "test_model_repositories_brought.py publishes another one",
    r"python -m services\.providers (wavespeed|fal|NAME)": "needs a vendor's key; the stack runs them, simulated",
    r"python -m services\.providers\.prompt": "runs until it is stopped; the stack runs it",
    r"python -m tools\.simulators\.\w+ --port \d+": "runs until it is stopped; the stack runs it",
}
"""Commands that no test runs unchanged, each with the reason."""


@dataclass(frozen=True, slots=True)
class Command:
    """One command or program."""

    page: str
    language: str
    """`shell` or `python`."""
    text: str

    def __str__(self) -> str:
        return f"{self.page}: {self.text.splitlines()[0]}"

    @property
    def why_not_run(self) -> str:
        """The reason in NOT_RUN; empty if it is run."""
        return next((why for form, why in NOT_RUN.items() if re.fullmatch(form, self.text, re.DOTALL)), "")

    @property
    def videos(self) -> list[str]:
        """The files that it makes."""
        return re.findall(r"""(?:--out |Path\(")([\w-]+\.mp4)""", self.text)


def commands() -> list[Command]:
    """Every command of every page: those of blocks, and those within sentences that begin with `.venv/bin/`."""
    return list(dict.fromkeys(each for page in PAGES for each in _of(page)))


def mentioned() -> list[tuple[str, str]]:
    """Page and text of every command within a sentence, including placeholders."""
    programs = re.compile(r"(?:make|i2v|python -m|\.venv/bin/\w+) \S.*")
    pages = [*PAGES, *sorted((ROOT / "docs/runbooks").glob("*.md"))]
    spans = ((page, span) for page in pages for span in re.findall(r"`([^`\n]+)`", _without_blocks(page.read_text())))
    return [(page.name, span) for page, span in spans if programs.fullmatch(span)]


FENCED = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)
INDENTED = re.compile(r"(?:(?<=\n\n)|\A)((?: {4}.*\n|\n(?= {4}))+)")


def _without_blocks(text: str) -> str:
    return INDENTED.sub("\n", FENCED.sub("\n", text))


def _of(page: Path) -> Iterator[Command]:
    text = without_steps(page.read_text())
    for _, language, block in FENCED.findall(text):
        kind = LANGUAGES.get(language, "")
        if kind == "python":
            yield Command(page.name, kind, block)
        elif kind:
            yield from (Command(page.name, kind, line) for line in _lines(block))
    for block in INDENTED.findall(FENCED.sub("\n", text)):
        yield from (Command(page.name, "shell", line) for line in _lines(textwrap.dedent(block)))
    for span in re.findall(r"`(\.venv/bin/[^`\n]+)`", _without_blocks(text)):
        yield Command(page.name, "shell", span)


def _lines(block: str) -> Iterator[str]:
    """The complete commands of a block: a backslash or an open quote continues a command on the next line."""
    command = ""
    for line in block.splitlines():
        command += f"\n{line}" if command else line
        if command.endswith("\\") or not _is_closed(command):
            continue
        if command := re.sub(r"\s+#\s.*$", "", command).strip():
            yield command
        command = ""
    assert not command, f"a command does not end: {command}"


def _is_closed(command: str) -> bool:
    try:
        shlex.split(command, comments=True)
    except ValueError:
        return False
    return True
