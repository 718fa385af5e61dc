"""The files that drive checks outside `make`: the workflow, the hooks before a commit, the templates."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
FORMS = sorted(path for path in (ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml") if path.name != "config.yml")
PULL_REQUEST = ROOT / ".github/pull_request_template.md"


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def test_the_workflow_runs_what_a_developer_runs_with_the_same_python() -> None:
    workflow = read(ROOT / ".github/workflows/test.yml")
    steps = workflow["jobs"]["test"]["steps"]
    assert [step["run"] for step in steps if "run" in step] == ["make test"]
    python = next(step["with"] for step in steps if "setup-python" in step.get("uses", ""))
    assert python["python-version"] == "3.11"
    for name in python["cache-dependency-path"].split():
        assert (ROOT / name).exists()


def test_the_workflow_pins_its_actions_and_can_only_read() -> None:
    workflow = read(ROOT / ".github/workflows/test.yml")
    used = [step["uses"] for job in workflow["jobs"].values() for step in job["steps"] if "uses" in step]
    assert used and all(re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", each) for each in used)
    assert workflow["permissions"] == {"contents": "read"}
    assert all(job["timeout-minutes"] <= 60 for job in workflow["jobs"].values())


def test_the_hooks_call_programs_of_the_virtual_environment_alone() -> None:
    """So that constraints.txt alone fixes their versions, and no hook needs the network."""
    repositories = read(ROOT / ".pre-commit-config.yaml")["repos"]
    assert [each["repo"] for each in repositories] == ["local"]
    programs = [hook["entry"].split()[0] for hook in repositories[0]["hooks"] if hook["language"] == "system"]
    assert set(programs) == {".venv/bin/ruff", ".venv/bin/buf"}
    assert re.search(r"^hooks: setup ##", (ROOT / "Makefile").read_text(), re.MULTILINE)


@pytest.mark.parametrize("path", ["gen/i2v/v1/job_pb2.py", "var/dev-key", "weights.ckpt"])
def test_a_commit_of_built_files_or_data_is_refused(path: str) -> None:
    hooks = read(ROOT / ".pre-commit-config.yaml")["repos"][0]["hooks"]
    refused = [hook["files"] for hook in hooks if hook["language"] == "fail"]
    assert any(re.search(pattern, path) for pattern in refused)
    assert not any(re.search(pattern, "tools/nano/weights/vae/model.safetensors") for pattern in refused)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.stem)
def test_an_issue_form_has_what_github_requires(form: Path) -> None:
    content = read(form)
    assert content["name"] and content["description"]
    fields = [field for field in content["body"] if field["type"] != "markdown"]
    assert {field["type"] for field in fields} <= {"textarea", "input", "dropdown", "checkboxes"}
    names = [field["id"] for field in fields]
    assert len(names) == len(set(names))
    assert all(field["attributes"]["label"] for field in fields)
    assert any(field.get("validations", {}).get("required") for field in fields)


def test_there_is_a_form_for_a_bug_and_one_for_a_change() -> None:
    assert [form.stem for form in FORMS] == ["bug", "change"]


def test_the_checklist_names_files_and_targets_that_exist() -> None:
    text = PULL_REQUEST.read_text()
    assert text.count("- [ ] ") >= 8
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for code in re.findall(r"`([^`]+)`", text):
        assert code.removeprefix("make ") in targets if code.startswith("make ") else (ROOT / code).exists(), code
