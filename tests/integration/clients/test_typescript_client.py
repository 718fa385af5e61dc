"""The TypeScript client before a running stack: its own tests, which submit, watch and download."""

import json
import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.support.client_programs import CLIENTS, PICTURE, absent, environment, run
from tests.support.studio_rig import Rig

FOLDER = CLIENTS / "typescript"
missing = absent("node", "npm")


@pytest.mark.skipif(bool(missing), reason="needs Node.js: apt-get install nodejs npm, then run this test again")
@pytest.mark.skipif(
    not (FOLDER / "node_modules").exists(), reason="needs its packages: npm ci --prefix clients/typescript"
)
async def test_its_types_hold_and_its_tests_and_its_example_pass_at_a_running_stack(rig: Rig, tmp_path: Path) -> None:
    printed = await run("npm", "test", cwd=FOLDER, env=environment(rig))
    counts = dict(re.findall(r"^\W+(pass|fail|skipped) (\d+)$", printed, re.MULTILINE))
    assert int(counts["pass"]) >= 15, printed
    assert (counts["fail"], counts["skipped"]) == ("0", "0"), printed
    video = tmp_path / "cat.mp4"
    example = ("node", "dist/examples/make-video.js", PICTURE, "it moves", video)
    printed = await run(*example, cwd=FOLDER, env=environment(rig))
    assert "1 admitted\n" in printed and f"{video} {video.stat().st_size} bytes, 0.00" in printed, printed


def test_the_lock_file_names_no_registry() -> None:
    locked = json.loads((FOLDER / "package-lock.json").read_text())["packages"]
    wanted = json.loads((FOLDER / "package.json").read_text())
    assert locked[""]["dependencies"] == wanted["dependencies"]
    assert [name for name, package in locked.items() if urlsplit(package.get("resolved", "")).netloc] == []
    assert all(package["integrity"].startswith("sha512-") for name, package in locked.items() if name)
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in wanted["dependencies"].values())
