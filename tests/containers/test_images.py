"""The images: how large they are, who runs in them, and what is not in them."""

import json
import re

import pytest

from tests.support.container_stack import Report
from tools.containers.container_engine import ContainerEngine
from tools.containers.image_build import IMAGES, name_of

MOST_BYTES = 400_000_000
LARGE = ("triton-cpu", "tools")
"""Triton and torch are larger than any of our own code."""
SERVED = tuple(image for image in IMAGES if image not in LARGE)


def run(engine: ContainerEngine, image: str, *command: str) -> str:
    """Runs a command in an image as a pod would be run: nothing may be written."""
    restricted = ("--read-only", "--cap-drop=all", "--security-opt=no-new-privileges", "--network=none")
    return engine.podman("run", "--rm", *restricted, f"--entrypoint={json.dumps(command)}", name_of(image))


@pytest.mark.parametrize("image", SERVED)
def test_an_image_is_small(engine: ContainerEngine, image: str, report: Report) -> None:
    size = json.loads(engine.podman("image", "inspect", name_of(image)))[0]["Size"]
    report(f"image `i2v/{image}`", f"{size / 1e6:.0f} MB", "≤ 400 MB")
    assert size <= MOST_BYTES


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_runs_as_a_numbered_user_without_a_shell_and_stops_at_sigterm(
    engine: ContainerEngine, image: str
) -> None:
    found = json.loads(engine.podman("image", "inspect", name_of(image)))[0]["Config"]
    assert found["User"] == "10001:10001"
    assert found["Entrypoint"][:2] == ["python", "-m"]
    assert found["StopSignal"] == "SIGTERM"
    assert "PYTHONUNBUFFERED=1" in found["Env"]
    assert found["Labels"]["org.opencontainers.image.title"] == f"i2v/{image}"
    assert re.fullmatch(r"[0-9a-f]{40}|unknown", found["Labels"]["org.opencontainers.image.revision"])


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_has_no_compiler_no_pip_and_no_tests(engine: ContainerEngine, image: str) -> None:
    script = (
        "import importlib.util, pathlib, shutil;"
        "tools = [name for name in ('cc', 'gcc', 'pip', 'pip3', 'make', 'git', 'curl') if shutil.which(name)];"
        "modules = [name for name in ('pip', 'ensurepip', 'tests', 'pytest') if importlib.util.find_spec(name)];"
        "found = [str(each) for each in pathlib.Path('/opt/i2v').rglob('tests') if each.is_dir()];"
        "print([*tools, *modules, *found])"
    )
    assert run(engine, image, "python", "-c", script).strip() == "[]"


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_lists_what_is_in_it(engine: ContainerEngine, image: str) -> None:
    listed = json.loads(run(engine, image, "cat", "/opt/i2v/sbom.cdx.json"))
    assert listed["bomFormat"] == "CycloneDX"
    versions = {each["name"].lower(): each["version"] for each in listed["components"]}
    assert {"grpcio", "protobuf", "i2v"} <= set(versions)
    unwanted = {"pip", "setuptools", "pytest"} - ({"setuptools"} if image == "tools" else set())  # torch needs it
    assert not unwanted & set(versions)


@pytest.mark.parametrize("image", SERVED)
def test_a_process_shows_its_settings_in_its_image(engine: ContainerEngine, image: str) -> None:
    found = json.loads(engine.podman("image", "inspect", name_of(image)))[0]["Config"]
    assert "I2V_" in run(engine, image, *found["Entrypoint"], "--help")


def test_the_export_says_what_it_takes(engine: ContainerEngine) -> None:
    assert "usage" in run(engine, "tools", "python", "-m", "tools.export", "--help")
