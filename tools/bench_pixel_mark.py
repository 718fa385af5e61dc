"""How well the mark in the pixels survives: `python -m tools.bench_pixel_mark FOLDER`, with pictures or videos in it.

Clips are pans and zooms over the pictures, by fixed seeds. Prints a table in Markdown. To split a long run, give each
part another `--seed`. Uses one core.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
from PIL import Image

from services.orchestrator.media.pixel_mark import Frames, mark
from services.orchestrator.media.pixel_mark_detector import THRESHOLD, detect
from services.orchestrator.media.video_writer import VideoWriter
from tools.pixel_mark_attacks import ATTACKS, reencoded

WIDTH, HEIGHT, FRAMES, RATE = 224, 128, 81, 16
UNMARKED_FRAMES = 33


def main() -> None:
    """Prints one row for each attack, one for unmarked clips, one for the error and one for the time."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--marked", type=int, default=100)
    parser.add_argument("--unmarked", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    wanted = parser.parse_args()
    sources = sorted(path for path in wanted.folder.iterdir() if path.is_file())
    print("| what | measured |\n|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        if wanted.marked:
            _print_marked(sources, wanted.marked, wanted.seed, Path(folder))
        if wanted.unmarked:
            _print_unmarked(sources, wanted.unmarked, wanted.seed, Path(folder))


def _print_marked(sources: list[Path], count: int, seed: int, folder: Path) -> None:
    scores: dict[str, list[float]] = {name: [] for name in ATTACKS}
    psnrs, times = [], []
    for index in range(count):
        frames = a_clip(sources[index % len(sources)], seed + index, FRAMES)
        start = time.perf_counter()
        marked = mark(frames)
        times.append(time.perf_counter() - start)
        psnrs.append(float(10 * np.log10(255**2 / np.mean((marked.astype(np.float32) - frames) ** 2))))
        for name, attack in ATTACKS.items():
            scores[name].append(_score(marked, attack, folder))
    for name, found in scores.items():
        recognised = sum(score >= THRESHOLD for score in found)
        low = f"lowest score {min(found):.1f}, median {statistics.median(found):.1f}"
        print(f"| {name} | {recognised} of {count} recognised; {low} |")
    print(f"| PSNR of marking | {min(psnrs):.2f} to {max(psnrs):.2f} dB |")
    print(f"| Marking, {FRAMES} frames of {WIDTH} x {HEIGHT}, median | {statistics.median(times) * 1000:.0f} ms |")


def _print_unmarked(sources: list[Path], count: int, seed: int, folder: Path) -> None:
    attacks = list(ATTACKS.values())
    found = []
    for index in range(count):
        frames = a_clip(sources[index % len(sources)], seed + index, UNMARKED_FRAMES)
        found.append(_score(frames, attacks[index // len(sources) % len(attacks)], folder))
    alarms = sum(score >= THRESHOLD for score in found)
    print(f"| unmarked, attacked in turn | {alarms} of {count} recognised; highest score {max(found):.2f} |")


def _score(frames: Frames, attack: Callable[[Frames], tuple[Frames, int]], folder: Path) -> float:
    """Returns the score after the service's own encoding, the attack, and encoding at CRF 28."""
    writer = VideoWriter(WIDTH, HEIGHT, RATE)
    writer.add(frames)
    writer.finish(folder / "first.mp4")
    attacked, rate = attack(_decoded(folder / "first.mp4"))
    reencoded(attacked, rate, folder / "second.mp4")
    return detect(folder / "second.mp4").score


def a_clip(source: Path, seed: int, frames: int) -> Frames:
    """Returns a pan, a zoom or both over a picture, (F, H, W, 3); or the first frames of a video."""
    if source.suffix == ".mp4":
        return _decoded(source)[:frames]
    random = np.random.default_rng(seed)
    with Image.open(source) as opened:
        picture = opened.convert("RGB")
    picture.thumbnail((640, 640))
    zoom = random.uniform(0.45, 0.95, 2)
    places = random.random((2, 2))
    kind = seed % 3
    if kind == 0:
        zoom[1] = zoom[0]
    if kind == 1:
        places[1] = places[0]
    made = []
    for part in np.linspace(0, 1, frames):
        width = min(picture.width, picture.height * WIDTH / HEIGHT) * float(zoom[0] + (zoom[1] - zoom[0]) * part)
        height = width * HEIGHT / WIDTH
        place = places[0] + (places[1] - places[0]) * part
        left, top = (picture.width - width) * float(place[0]), (picture.height - height) * float(place[1])
        box = (left, top, left + width, top + height)
        made.append(np.asarray(picture.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC, box)))
    return np.stack(made)


def _decoded(path: Path) -> Frames:
    with av.open(f"file:{path}") as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(container.streams.video[0])]
    return np.stack(frames).astype(np.uint8, copy=False)


if __name__ == "__main__":
    main()
