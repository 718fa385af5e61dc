"""The commands of the runbooks' pages, as they stand there, against one server with a vendor."""

import asyncio
import datetime
import os
import re
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from services.orchestrator.store.database import driver_url
from tests.conftest import with_database
from tests.support.documented_commands import ROOT
from tests.support.documented_steps import BLOCK, Step, script
from tests.support.forked_commands import forked_commands
from tests.support.paid_work import VIDEO, remotely, spec
from tests.support.scripted_provider import Failed, ScriptedProvider, a_failure
from tests.support.served_orchestrator import GOLDEN, Served
from tests.support.shared_links import Links
from tools.made_certificates import a_certificate

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

RUNBOOKS = ROOT / "docs/runbooks"
PAGES = (
    *("install", "my-job-is-stuck", "charged-twice", "leaked-key", "drain-a-gpu", "VendorOutOfCredit"),
    *("rotate-secrets", "restore"),
)
"""In an order in which each leaves the server usable for the next."""
OTHERS = ("upgrade", "roll-back")
"""Pages without an alert that other tests run."""


def steps_of(page: str) -> list[Step]:
    """The blocks of a page; a block of text has parts of what the commands before it print."""
    found: list[Step] = []
    for language, block in BLOCK.findall((RUNBOOKS / f"{page}.md").read_text()):
        if language == "sh":
            found.append(Step(block, ()))
        else:
            found[-1] = Step(found[-1].commands, tuple(block.splitlines()))
    return found


def test_every_page_with_commands_is_run_and_listed() -> None:
    listed = set(re.findall(r"^\* \[([\w-]+)\]\(\1\.md\)", (RUNBOOKS / "README.md").read_text(), re.MULTILINE))
    assert listed == {page.stem for page in RUNBOOKS.glob("*.md")} - {"README"}
    assert {page for page in listed if steps_of(page)} - set(OTHERS) == set(PAGES)


class Shell:
    """Runs pages in one folder, with the variables that they name."""

    def __init__(self, folder: Path, commands: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self.variables = {
            "PATH": f"{commands}:{os.environ['PATH']}",
            "PYTHONPATH": f"{ROOT}:{ROOT / 'gen'}:{ROOT / 'clients/python/src'}",
            "HOME": str(folder),
            **environment,
        }

    async def run(self, page: str, **variables: str) -> list[str]:
        """Returns the steps that did not do what the page says."""
        steps = steps_of(page)
        await self.shell(script(steps), **variables)
        wrong = []
        for number, step in enumerate(steps):
            output, code = ((self.folder / f"{number}.{kind}").read_text() for kind in ("out", "code"))
            if step.missing(output) or int(code) != step.code:
                wrong.append(f"{page}: {step.commands}{output}\ncode {code}")
        return wrong

    async def shell(self, text: str, **variables: str) -> str:
        def run() -> str:
            environment = self.variables | variables
            ended = subprocess.run(
                ["sh", "-uc", text], cwd=self.folder, env=environment, capture_output=True, text=True, timeout=120
            )
            assert ended.returncode == 0, ended.stderr
            return ended.stdout.strip()

        return await asyncio.to_thread(run)


@pytest.fixture
def vendor() -> ScriptedProvider:
    return ScriptedProvider(VIDEO)


@pytest.fixture
async def i2v(database: str, tmp_path: Path, vendor: ScriptedProvider) -> AsyncIterator[Served]:
    async with remotely(database, tmp_path, vendor, limits=1) as running:
        yield running


@pytest.fixture
async def shell(i2v: Served, tmp_path: Path, database: str) -> AsyncIterator[Shell]:
    folder = tmp_path / "shell"
    folder.mkdir()
    (folder / "tenant-key").write_text("studio-key")
    environment = {
        "I2V_SERVER": i2v.address,
        "I2V_KEY_FILE": str(tmp_path / "operator-key"),
        "I2V_DATA": str(tmp_path),
        "I2V_DATABASE_URL": database,
        "operator_key_file": str(tmp_path / "operator-key"),
        **{"tenant": "studio", "user": "ann", "backend": "vendor", "backends": "vendor"},
        "day": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }
    with forked_commands(tmp_path) as commands:
        yield Shell(folder, commands, environment)


@pytest.fixture
def empty_url(postgres: str, database: str) -> Iterator[str]:
    """A database without a table, and in its cluster a role whose password may be changed."""
    name = f"{database.rpartition('/')[2].partition('?')[0]}_empty"
    admin = sa.create_engine(driver_url(postgres), isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with admin.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
        connection.execute(sa.text(f"CREATE ROLE {name}"))
    yield with_database(postgres, name)
    with admin.connect() as connection:
        connection.execute(sa.text(f"DROP DATABASE {name} WITH (FORCE)"))
        connection.execute(sa.text(f"DROP ROLE {name}"))


async def test_the_commands_of_every_page_do_what_it_says(
    i2v: Served, vendor: ScriptedProvider, shell: Shell, empty_url: str, database: str, postgres: str, tmp_path: Path
) -> None:
    wrong = await shell.run("install", plans=str(GOLDEN / "plans.toml"), plan="test", model="remote-text")
    assert wrong == []
    vendor.losses = 1
    unknown = await i2v.submit(spec())
    await i2v.until(unknown.name, "reconciling")
    vendor.failures.append(a_failure("TASK_CANCELLED", Failed.UNKNOWN))
    failed = await i2v.ended((await i2v.submit(spec())).name)
    made = await i2v.ended((await i2v.submit(spec())).name)
    vendor.working.clear()
    first, second, third = [await i2v.submit(spec()) for _ in range(3)]
    wrong += await shell.run("my-job-is-stuck", job=second.name, unknown=unknown.name)
    wrong += await shell.run("charged-twice", job=made.name, failed=failed.name)
    share = await Links(i2v).make(asset=made.output.asset)
    keys = [await new_key(shell, name) for name in ("web", "batch", "app")]
    operator = await new_operator(shell)
    wrong += await shell.run(
        "leaked-key", job=third.name, key=keys[0], other_key=keys[1], operator=operator, share=share.name
    )
    vendor.working.set()
    await i2v.ended(first.name)
    wrong += await shell.run("drain-a-gpu")
    wrong += await shell.run("VendorOutOfCredit")
    wrong += await shell.run("restore", empty_url=empty_url)
    wrong += await shell.run(
        "rotate-secrets",
        admin_url=plain(postgres),
        database_url=plain(database),
        role=sa.make_url(empty_url).database or "",
        certificate=str(a_certificate(tmp_path)[0]),
        key=keys[2],
        operator=await new_operator(shell),
    )
    assert wrong == []


def plain(url: str) -> str:
    """Returns a URL as psql takes it."""
    return sa.make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


async def new_key(shell: Shell, name: str) -> str:
    """Makes a key of the tenant, and returns its name."""
    made = await shell.shell(f'i2v admin keys create {name} --tenant "$tenant" --reason "a test"')
    return f"tenants/studio/keys/{made.split('_')[1]}"


async def new_operator(shell: Shell) -> str:
    """Makes an operator, and returns its name."""
    made = await shell.shell('i2v admin operators create "Ann Example" --role viewer --reason "a test"')
    return f"operators/{made.split('_')[1]}"
