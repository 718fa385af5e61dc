"""deploy/docker: the packages of an image are those that its process imports, and no others are needed."""

import re
from functools import cache
from importlib.metadata import packages_distributions, requires
from pathlib import Path

import grimp
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[3]
FOLDER = ROOT / "deploy/docker/requirements"
DOCKERFILE = (ROOT / "deploy/docker/Dockerfile").read_text()
PROGRAMS = {
    "orchestrator": "services.orchestrator.__main__",
    "provider": "services.providers.__main__",
    "prompt-writer": "services.providers.prompt.__main__",
    "studio": "services.studio.__main__",
    "triton-cpu": "tools.tritonserver",
}


def listed(*files: str) -> list[Requirement]:
    lines = [line for file in files for line in (FOLDER / f"{file}.txt").read_text().splitlines()]
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


def installed(needed: list[Requirement]) -> set[str]:
    """The packages that pip installs for these, by name."""
    found: dict[str, set[str]] = {}
    new = list(needed)
    while new:
        each = new.pop()
        name = canonicalize_name(each.name)
        extras = set(each.extras) | {""}
        if extras <= found.get(name, set()):
            continue
        found.setdefault(name, set()).update(extras)
        for text in requires(each.name) or ():
            more = Requirement(text)
            if more.marker is None or any(more.marker.evaluate({"extra": extra}) for extra in extras):
                new.append(more)
    return set(found)


@cache
def graph() -> grimp.ImportGraph:
    return grimp.build_graph("services", "tools", include_external_packages=True)


def imported_by(image: str) -> set[str]:
    """The modules that an image's process imports, and for the orchestrator those of its children too."""
    roots = {PROGRAMS[image]}
    if image == "orchestrator":
        roots |= graph().find_descendants("services.orchestrator")
    return {module for root in roots for module in graph().find_upstream_modules(root)}


@pytest.mark.parametrize("image", sorted(PROGRAMS))
def test_an_image_has_what_its_process_imports(image: str) -> None:
    imported = imported_by(image)
    providers = packages_distributions()
    outside = {name for name in imported if name in providers and name not in ("services", "tools", "i2v")}
    here = installed(listed("rpc", image))
    missing = {name for name in outside if not {canonicalize_name(each) for each in providers[name]} & here}
    assert outside
    assert missing == set()


@pytest.mark.parametrize("image", sorted(PROGRAMS))
def test_an_image_has_no_package_that_its_process_never_imports(image: str) -> None:
    if image == "triton-cpu":
        pytest.skip("the models import theirs inside Triton")
    imported = imported_by(image)
    providers = packages_distributions()
    used = {canonicalize_name(each) for name in imported for each in providers.get(name, ())}
    assert {canonicalize_name(each.name) for each in listed(image)} <= used


def test_every_listed_package_has_one_version() -> None:
    pinned = dict(re.findall(r"^(\S+)==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE))
    names = {canonicalize_name(each) for each in pinned}
    own = {"cyclonedx-bom", "pip", "onnxruntime-gpu"}  # of the build, and of a machine with a GPU
    files = [file.stem for file in FOLDER.glob("*.txt")]
    assert {canonicalize_name(each.name) for each in listed(*files)} - names == own


def test_images_of_a_registry_are_pinned_by_digest() -> None:
    arguments = dict(re.findall(r"^ARG (\w+)=(\S+)$", DOCKERFILE, re.MULTILINE))
    assert re.fullmatch(r"\S+@sha256:[0-9a-f]{64}", arguments["BASE"])
    stages = re.findall(r"^FROM (\S+) AS (\S+)$", DOCKERFILE, re.MULTILINE)
    outside = {base for base, _ in stages if base not in {name for _, name in stages}}
    assert outside == {"${BASE}", "${TRITON_BASE}"}


def test_a_triton_without_a_digest_is_refused() -> None:
    stage = DOCKERFILE.partition("FROM ${TRITON_BASE} AS triton\n")[2]
    check = re.search(r"^RUN (case .*?esac)$", stage, re.MULTILINE | re.DOTALL)
    assert check and "*@sha256:*) ;;" in check[1] and "exit 1" in check[1]


def test_every_process_runs_without_a_shell_as_a_numbered_user_and_says_whether_it_is_well() -> None:
    stages = re.split(r"^FROM ", DOCKERFILE, flags=re.MULTILINE)[1:]
    final = {each.split()[2]: each for each in stages}
    for name in (*PROGRAMS, "tools", "triton"):
        assert re.search(r"^ENTRYPOINT \[", final[name], re.MULTILINE), name
        last_user = re.findall(r"^USER (\S+)$", final["process"] + final[name], re.MULTILINE)[-1]
        assert last_user == "10001:10001", name
        if name in PROGRAMS:
            assert re.search(r"^HEALTHCHECK .* CMD \[", final[name], re.MULTILINE), name
