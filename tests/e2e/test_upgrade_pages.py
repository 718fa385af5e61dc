"""The runbooks of an upgrade and a roll back: their commands as they stand, with the release before and this one."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from services.orchestrator.store.database import plain_url
from services.orchestrator.store.postgres_cluster import programs
from tests.support.documented_commands import ROOT
from tests.support.documented_steps import BLOCK, Step, script
from tests.support.pictures import a_picture
from tests.support.scripted_cluster import kubectl
from tools.evictions.outcome import outcome
from tools.evictions.replicas import Replicas

pytestmark = pytest.mark.e2e

APPLY = ["apply", "--server-side", "-k"]
DELETE = ["-n", "i2v", "delete", "job", "i2v-migrate", "--ignore-not-found"]


def steps_of(page: str) -> list[Step]:
    """The blocks of a page; a block of text has parts of what the commands before it print."""
    found: list[Step] = []
    for language, block in BLOCK.findall((ROOT / f"docs/runbooks/{page}.md").read_text()):
        if language == "sh":
            found.append(Step(block, ()))
        else:
            found[-1] = Step(found[-1].commands, tuple(block.splitlines()))
    return found


class Cluster:
    """Does what the manifests say: the Job migrates; then the API and the worker are replaced."""

    def __init__(self, replicas: Replicas, releases: dict[str, Path]) -> None:
        self._replicas = replicas
        self._releases = releases
        self.calls: list[list[str]] = []

    async def run(self, arguments: list[str]) -> str:
        """Returns what is wrong."""
        self.calls.append(arguments)
        match arguments:
            case ["apply", "--server-side", "-k", overlay]:
                if self.calls[-2] != DELETE:
                    return "a Job cannot be changed"
                await self._roll(self._releases[overlay])
            case ["-n", "i2v", "delete" | "wait" | "rollout", *_]:
                pass
            case _:
                return f"unexpected: {arguments}"
        return ""

    async def _roll(self, release: Path) -> None:
        await self._replicas.migrate(release)
        old, new = ("api-0", "api-1") if "api-0" in self._replicas.running else ("api-1", "api-0")
        async with asyncio.TaskGroup() as group:
            group.create_task(self._replace_worker(release))
            await self._replicas.start(new, release)
        assert await self._replicas.stop(old) == 0

    async def _replace_worker(self, release: Path) -> None:
        assert await self._replicas.stop("worker-0") == 0
        await self._replicas.start("worker-0", release)


async def run_page(page: str, folder: Path, environment: dict[str, str]) -> list[str]:
    """Runs a page in one shell. Returns the steps that did not do what the page says."""
    steps, wrong = steps_of(page), []
    command = ["sh", "-uc", script(steps)]
    ended = await asyncio.create_subprocess_exec(*command, cwd=folder, env=environment, stderr=subprocess.PIPE)
    assert await ended.wait() == 0, ended.stderr and await ended.stderr.read()
    for number, step in enumerate(steps):
        output, code = ((folder / f"{number}.{kind}").read_text() for kind in ("out", "code"))
        if step.missing(output) or int(code) != step.code:
            wrong.append(f"{page}: {step.commands}{output}\ncode {code}")
    return wrong


async def test_the_commands_upgrade_an_installation_and_take_it_back(
    database: str, tmp_path: Path, previous_release: Path
) -> None:
    folder = tmp_path / "shell"
    folder.mkdir()
    (folder / "picture.png").write_bytes(a_picture())
    (folder / "i2v").write_text(f'#!/bin/sh\nexec {sys.executable} -m services.client.cli "$@"\n')
    (folder / "i2v").chmod(0o755)
    async with Replicas(database, tmp_path, workers=1, settings={"I2V_MIGRATE": "false"}) as replicas:
        cluster = Cluster(replicas, {"new": ROOT, "before": previous_release})
        async with asyncio.TaskGroup() as starting:
            for name in ("api-0", "worker-0"):
                starting.create_task(replicas.start(name, previous_release))
        environment = {
            "PATH": f"{folder}:{tmp_path / 'cluster'}:{programs()}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": f"{ROOT}:{ROOT / 'gen'}:{ROOT / 'clients/python/src'}",
            "I2V_SERVER": replicas.servers,
            "I2V_KEY_FILE": str(tmp_path / "operator-key"),
            "I2V_DATABASE_URL": plain_url(database),
            "I2V_DATA": str(tmp_path),
            **{"overlay": "new", "previous": "before", "model": "test-model", "key_file": str(tmp_path / "dev-key")},
        }
        async with kubectl(tmp_path, cluster.run):
            assert await run_page("upgrade", folder, environment) == []
            assert await run_page("roll-back", folder, environment) == []
    assert [call[-1] for call in cluster.calls if call[:3] == APPLY] == ["new", "before"]
    assert (folder / "after.mp4").stat().st_size > 0 and (folder / "before.mp4").stat().st_size > 0
    assert (await outcome(database, [])).problems == []
