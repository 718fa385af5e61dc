"""`python -m tools.export`: builds a profile, unless the repository already holds exactly that."""

import argparse
import sys
import time
from pathlib import Path

from tools.export import build_record, repository_folder
from tools.export.profile import BadProfile, Profile
from tools.export.profile_file import UnknownProfile, load, with_engine


def main() -> int:
    """Builds the profile; returns 0 when it is complete."""
    parser = argparse.ArgumentParser(prog="python -m tools.export", description=__doc__)
    parser.add_argument(
        "--profile", default="nano", help="a file of tools/profiles without its .toml, or any .toml (default: nano)"
    )
    parser.add_argument(
        "--weights",
        type=Path,
        action="append",
        default=[],
        metavar="PATH",
        help="a file or folder with weights, as published; may be given several times, a later one wins",
    )
    parser.add_argument("--random", action="store_true", help="noise in place of weights, to measure speed")
    parser.add_argument(
        "--repository",
        type=Path,
        help="the Triton model repository (default: model_repository for nano, var/models/PROFILE for others)",
    )
    parser.add_argument("--force", action="store_true", help="build even what is there already")
    parser.add_argument(
        "--engine",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="changes where and how the models run, such as text_device=cpu, text_on_demand=true, precision=fp16",
    )
    parser.add_argument("--plan", action="store_true", help="print what memory the profile takes, and build nothing")
    parser.add_argument("--card", action="store_true", help="print the profile's model card, and build nothing")
    options = parser.parse_args()
    try:
        profile = with_engine(load(options.profile), options.engine)
    except (UnknownProfile, BadProfile) as error:
        parser.error(str(error))
    if options.plan or options.card:
        return describe(profile, card=options.card)
    if options.random and options.weights:
        parser.error("--random and --weights exclude each other")
    if absent := [path for path in options.weights if not path.exists()]:
        parser.error(f"--weights {absent[0]}: there is no such file or folder")
    target = options.repository or repository_folder.default(profile.name)
    if not options.weights and not options.random:
        options.weights = profile.shipped
    source = build_record.source_of(profile, options.weights, random=options.random)
    try:
        repository_folder.prepare(profile, target)  # also if nothing is to be built: its code may be older
    except repository_folder.NotTheirs as error:
        parser.error(str(error))
    if not options.force and build_record.is_built(target, source):
        print(f"{target}: profile {profile.name} is built already; nothing to do")
        return 0

    # The libraries take seconds to import, so only when there is work for them.
    from tools.export import build, graph
    from tools.export.weights import WeightsError

    print(f"Building profile {profile.name} into {target}.")
    if options.random:
        print("Its weights are NOISE: they prove the machinery, and the videos mean nothing.")
    began = time.monotonic()
    try:
        build.build(profile, target, say=print, paths=options.weights, random=options.random)
    except (graph.ExportError, WeightsError) as error:
        print(f"failed: {error}", file=sys.stderr)
        return 1
    print(f"Done in {time.monotonic() - began:.0f} s.")
    return 0


def describe(profile: Profile, *, card: bool) -> int:
    """Prints the memory plan, or the card."""
    from tools.export import profile_card as cards
    from tools.export.memory_plan import memory_plan

    made = memory_plan(profile)
    for line in cards.toml(profile, made) if card else made.lines():
        print(line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
