"""`python -m tools.export`: builds a profile, unless the repository already holds exactly that."""

import argparse
import sys
import time
from pathlib import Path

from tools.export import stamp
from tools.export.profile import UnknownProfile, load


def main() -> int:
    """Builds what is asked for; 0 when it is there."""
    parser = argparse.ArgumentParser(prog="python -m tools.export", description=__doc__)
    parser.add_argument("--profile", default="nano", help="a file of tools/profiles without its .toml (default: nano)")
    parser.add_argument("--repository", type=Path, default=Path("model_repository"), help="the Triton model repository")
    parser.add_argument("--force", action="store_true", help="build even what is there already")
    options = parser.parse_args()
    try:
        profile = load(options.profile)
    except UnknownProfile as error:
        parser.error(str(error))
    if not options.force and stamp.is_built(options.repository, profile):
        print(f"{options.repository}: profile {profile.name} is built already; nothing to do")
        return 0

    # The libraries take seconds to import, so only when there is work for them.
    from tools.export import build, graph

    print(f"Building profile {profile.name} into {options.repository}.")
    print("Its weights are UNTRAINED: random numbers, some set by hand so that the picture shows through.")
    print("They prove the machinery; nothing is learned, and the videos mean nothing.")
    began = time.monotonic()
    try:
        build.build(profile, options.repository, say=print)
    except graph.ExportError as error:
        print(f"failed: {error}", file=sys.stderr)
        return 1
    print(f"Done in {time.monotonic() - began:.0f} s.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
