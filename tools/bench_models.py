"""`python -m tools.bench_models`: the speed of the exported models, compared with the same weights in torch.

One video of 81 frames at 128x224 with profile nano: encoders, the whole denoising loop, the whole decode; in this
process, without Triton.
"""

import argparse
import sys
from dataclasses import dataclass

import torch

from tools.bench_exported_models import exported_times
from tools.bench_overlap import Span, share_overlapped, trace
from tools.bench_torch_models import torch_times
from tools.bench_video import HEIGHT, WIDTH, a_picture
from tools.export import profile_file


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    stage: str
    exported_s: float
    torch_s: float | None
    """None: has no counterpart."""

    @property
    def ratio(self) -> float | None:
        """How many times faster the exported stage is."""
        return None if self.torch_s is None else self.torch_s / self.exported_s


def measure(name: str = "nano", threads: int = 2) -> tuple[list[Row], list[Span]]:
    """Times every stage once, after a warm-up; the last rows are totals. Returns the spans of the overlapped run too.

    Raises:
        FileNotFoundError: the profile is not exported.
    """
    chosen = profile_file.load(name)
    torch.set_num_threads(threads)
    pixels = a_picture()
    (exported, spans), of_torch = exported_times(chosen, pixels, threads), torch_times(chosen, pixels)
    rows = [Row(stage, exported.pop(stage), seconds) for stage, seconds in of_torch.items()]
    rows.append(Row("all, one after the other", sum(row.exported_s for row in rows), sum(of_torch.values())))
    return rows + [Row(stage, seconds, None) for stage, seconds in exported.items()], spans


def main() -> int:
    """Prints the table."""
    parser = argparse.ArgumentParser(prog="python -m tools.bench_models", description=__doc__)
    parser.add_argument("--profile", default="nano")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    rows, spans = measure(options.profile, options.threads)
    print(f"{options.profile}: 81 frames, {HEIGHT}x{WIDTH}, {options.threads} threads; seconds")
    print(f"{'':32}{'exported':>10}{'torch':>10}{'ratio':>8}")
    for row in rows:
        compared = "" if row.torch_s is None else f"{row.torch_s:10.2f}{row.ratio:8.1f}"
        print(f"{row.stage:32}{row.exported_s:10.2f}{compared}")
    print("\nwhen each block is made (=) and decoded (#):")
    for line in trace(spans):
        print(line)
    print(f"while blocks after the first are made, the decoder works {share_overlapped(spans):.0%} of the time")
    return 0


if __name__ == "__main__":
    sys.exit(main())
