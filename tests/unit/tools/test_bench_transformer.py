"""The transformer's bench: its formulas against figures worked out by hand, and that it runs without a GPU."""

from dataclasses import replace

import pytest
import torch

from tools import bench_transformer
from tools.bench_transformer import Block, blocks, flop
from tools.export import profile_file
from tools.export.profile import Profile


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def of_video(profile: Profile, tokens: int) -> float:
    """Floating-point operations of all forwards of its longest video."""
    return sum(
        (len(block.timesteps) + (not block.last)) * flop(profile, tokens, block.frames, block.past)
        for block in blocks(profile)
    )


def test_the_floor_of_self_forcing_is_that_of_its_published_sizes() -> None:
    """480 x 832, blocks of 3 latents, 4 steps: 12.15 + 4.04 b TFLOP a forward with b blocks in sight, 950 a clip."""
    profile = profile_file.load("self-forcing-1.3b")
    assert [block.start for block in blocks(profile)] == [0, 3, 6, 9, 12, 15, 18]
    for visible in (1, 7):
        assert flop(profile, 1560, 3, 3 * (visible - 1)) / 1e12 == pytest.approx(12.15 + 4.04 * visible, rel=1e-3)
    assert of_video(profile, 1560) / 1e12 == pytest.approx(950, rel=2e-3)


def test_the_floor_of_a_video_from_a_picture_counts_the_pictures_forward() -> None:
    profile = profile_file.load("causal-forcing-1.3b")
    assert blocks(profile)[:2] == [
        Block(0, 1, 0, (), last=False),
        Block(1, 1, 1, (1000.0, 937.5, pytest.approx(833.3, abs=0.1), 625.0), last=False),
    ]
    assert flop(profile, 1560, 1, 0) / 1e12 == pytest.approx(4.5, rel=1e-2)  # 5.7 ms at 790 TFLOP/s
    assert len(blocks(profile)) == 21


def test_a_window_bounds_what_is_attended_to() -> None:
    profile = profile_file.load("causal-forcing-1.3b-long")
    assert [block.past for block in blocks(profile)] == [*range(21), *[20] * 60]


def test_it_prints_every_block_and_the_totals() -> None:
    lines: list[str] = []
    arguments = ["--profile", "nano", "--device", "cpu", "--size", "32x48", "--rounds", "1"]
    assert bench_transformer.main(arguments, lines.append) == 0
    title, warm_up, heading, *rows = lines
    assert title.startswith("nano at 32x48, fp32, on cpu")
    assert warm_up.startswith("warm-up")
    assert heading.split() == [
        "block",
        "frames",
        "past",
        "denoise",
        "ms",
        "whole",
        "ms",
        "floor",
        "ms",
        "TFLOP/s",
        "floor/whole",
    ]
    assert [row.split()[0] for row in rows] == [
        "picture",
        *(str(number) for number in range(1, 11)),
        "video:",
        "arithmetic:",
        "first",
        "memory:",
        "compared",
    ]
    assert "video: 81 frames in" in rows[11]
    assert "differ by 0.0e+00" in rows[-1]


def test_the_removal_of_frames_is_measured_if_there_is_a_window() -> None:
    nano = profile_file.load("nano")
    assert nano.schedule is not None
    profile = replace(nano, schedule=replace(nano.schedule, window_latents=5, sink_latents=1))
    bench = bench_transformer.Bench(profile, bench_transformer.runtime(profile, "cpu"), (2, 2))
    assert [row.block.past for row in bench.rows()] == [0, 1, *[3] * 9]
