"""`python -m tools.sizing.measure [PART...]`: measures what things cost, and prints it as tables of costs.toml.

Processor time and bytes are counted, so other work on the machine disturbs less than with times. A few minutes in all.
"""

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Mapping

from tools.bench import machine
from tools.sizing import measured_calls, measured_events, measured_notify, measured_videos

Costs = Mapping[str, float]
PARTS: dict[str, Callable[[], Costs]] = {
    "calls": measured_calls.measure,
    "events": measured_events.measure,
    "notify": measured_notify.measure,
}


def tables(parts: list[str]) -> Iterator[str]:
    """Yields lines of TOML."""
    for name in parts:
        if name == "kinds":
            for kind, costs in measured_videos.measure().items():
                yield f"\n[kinds.{kind}]"
                yield from lines(costs)
        else:
            yield f"\n[{name}]"
            yield from lines(PARTS[name]())


def lines(costs: Costs) -> Iterator[str]:
    """Yields the costs as lines of TOML, with four digits."""
    for name, value in costs.items():
        yield f"{name} = {float(f'{value:.4g}'):g}" if value < 1000 else f"{name} = {value:.0f}"


def main() -> int:
    """Prints the tables as they are measured."""
    every = [*PARTS, "kinds"]
    parser = argparse.ArgumentParser(prog="python -m tools.sizing.measure", description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*every, []], metavar="PART", help=f"of {', '.join(every)}")
    given = parser.parse_args().parts or every
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        del os.environ[name]  # all measured processes are on this machine
    print(f"# {machine()}; load {os.getloadavg()[0]:.0f}")
    for line in tables(given):
        print(line, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
