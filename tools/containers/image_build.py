"""Builds the images of deploy/docker/Dockerfile, and those of the database and the S3 server of the test."""

import os
import subprocess
from pathlib import Path

from tools.containers.container_engine import ContainerEngine

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE, SERVERS = Path("deploy/docker/Dockerfile"), Path("tools/containers/Dockerfile")
IMAGES = ("orchestrator", "provider", "prompt-writer", "studio", "tools", "triton-cpu")
"""Targets of the Dockerfile that the test builds: all but NVIDIA's `triton`."""
TEST_SERVERS = ("postgres", "s3")
STAND_INS = {"postgres": "library/postgres", "s3": "rclone/rclone"}
"""The images of others that they stand in for."""
PIP_FOLDERS = "PIP_FIND_LINKS"
APT = Path("/etc/apt")


def name_of(image: str) -> str:
    """Returns the full name of one of our images on this machine."""
    return f"localhost/i2v/{image}:test"


def names() -> dict[str, str]:
    """Returns the name here of each image that manifests name."""
    names = {f"i2v/{image}": name_of(image) for image in (*IMAGES, *TEST_SERVERS)}
    return names | {STAND_INS[image]: name_of(image) for image in TEST_SERVERS}


def build(engine: ContainerEngine, base: str, image: str) -> str:
    """Builds an image on a base, with this machine's settings of apt and pip. Returns its name.

    Raises ContainerError.
    """
    file = SERVERS if image in TEST_SERVERS else DOCKERFILE
    engine.buildah(
        "bud",
        "--quiet",
        "--layers",
        "--format=docker",
        "--isolation=chroot",
        f"--build-arg=BASE={base}",
        f"--build-arg=REVISION={_revision()}",
        *_settings(engine),
        f"--target={image}",
        f"--tag={name_of(image)}",
        f"--file={ROOT / file}",
        str(ROOT),
    )
    return name_of(image)


def _settings(engine: ContainerEngine) -> list[str]:
    """Returns the options that lend the build what apt and pip have on this machine; nothing of it is in the image."""
    options = [f"--volume={APT}:{APT}:ro"]
    if authorities := os.environ.get("PIP_CERT"):
        options.append(f"--secret=id=ca,src={authorities}")
    folders = [Path(each) for each in os.environ.get(PIP_FOLDERS, "").split() if Path(each).is_dir()]
    settings = engine.folder / "pip.conf"
    settings.write_text("[global]\n" + "".join(f"find-links = {each}\n" for each in folders[:1]))
    options.append(f"--secret=id=pip,src={settings}")
    return options + [f"--volume={each}:{each}:ro" for each in folders]


def _revision() -> str:
    done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"
