"""checkov on the rendered overlays: every finding is either fixed or explained here."""

import json
import subprocess
import sys
from pathlib import Path

from tests.support.overlays import OVERLAYS, rendered

CHECKOV = Path(sys.executable).parent.parent / "checkov/bin/checkov"
LOCAL = {"dev", "single-node"}
ACCEPTED = {
    "CKV_K8S_15": (set(OVERLAYS), "an image that is pinned by digest, or was built here, need not be pulled again"),
    "CKV_K8S_43": (
        LOCAL,
        "the images of these overlays are built on the machine, so they have no digest of a registry",
    ),
}
"""Findings that stay: in which overlays, and why."""


def test_checkov_finds_nothing_that_is_not_explained(tmp_path: Path) -> None:
    for overlay in OVERLAYS:
        (tmp_path / f"{overlay}.yaml").write_text(rendered(overlay))
    done = subprocess.run(
        [
            CHECKOV,
            "--directory",
            tmp_path,
            "--framework",
            "kubernetes",
            "--output",
            "json",
            "--skip-download",
            "--quiet",
        ],
        capture_output=True,
        text=True,
        timeout=250,
    )
    report = json.loads(done.stdout)
    assert report["summary"]["parsing_errors"] == 0 and report["summary"]["passed"] > 1000
    found: dict[str, set[str]] = {}
    for each in report["results"]["failed_checks"]:
        found.setdefault(each["check_id"], set()).add(Path(each["file_path"]).stem)
    unexplained = {name: where for name, where in found.items() if not where <= ACCEPTED.get(name, (set(), ""))[0]}
    assert unexplained == {}
    assert set(found) == set(ACCEPTED), "an explanation without a finding"
