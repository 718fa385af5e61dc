"""Containers on this machine: `python -m tools.containers check` builds and tests them, `build` only builds.

Everything is in var/containers; `remove` removes it.
"""

import argparse
import subprocess
import sys
from pathlib import Path

from tools.containers import base_image, image_build, image_sizes, needed_programs
from tools.containers.container_engine import ContainerEngine, ContainerError

FOLDER = Path("var/containers")
TESTS = "tests/containers"


def build(engine: ContainerEngine, images: list[str]) -> None:
    """Builds images and prints their sizes. Raises ContainerError."""
    base = base_image.make(engine)
    for image in images:
        image_build.build(engine, base, image)
        size, _ = image_sizes.sizes(engine, image)
        print(f"| image `i2v/{image}` | {size / 1e6:.0f} MB |", flush=True)


def main() -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.containers", description=__doc__)
    commands = parser.add_subparsers(dest="what", required=True)
    commands.add_parser("check", help="builds the images, runs the tests of containers, removes everything")
    building = commands.add_parser("build", help="builds images")
    every = (*image_build.IMAGES, *image_build.TEST_SERVERS)
    building.add_argument("images", nargs="*", default=every, metavar="IMAGE")
    commands.add_parser("remove", help="removes all images, containers and networks")
    given, more = parser.parse_known_args()
    if missing := needed_programs.missing():
        print(missing)
        return 0 if given.what == "check" else 1
    engine = ContainerEngine(FOLDER)
    try:
        if given.what == "check":
            build(engine, list(every))  # before the tests, which have limits of time
            return subprocess.run([sys.executable, "-m", "pytest", TESTS, *more], check=False).returncode
        if given.what == "build":
            build(engine, list(given.images))
    except ContainerError as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        if given.what != "build":
            engine.remove()
    return 0


if __name__ == "__main__":
    sys.exit(main())
