"""`python -m tools.nano.judge`: what the shipped graphs make of pictures that were never trained on, measured.

The graphs run as they are served, without Triton. Motion is read from optical flow: the flow between frames a few apart
is explained by a shift, a growth and a turn, weighted by how much there is to see, and the largest of them in pixels is
what the video does. The share of true clips that is recognised is printed too, because it is the upper limit.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from skimage.registration import optical_flow_ilk

from tools.model_code import REPOSITORY
from tools.nano import motion, training_pictures
from tools.nano.captions import RequestedMotion
from tools.nano.local_pipeline import Frames, LocalPipeline
from tools.nano.train_vae import as_clip

HEIGHT, WIDTH = 128, 224
APART = 8
"""Frames between the two of a flow."""
PROMPTS: dict[str, tuple[str, RequestedMotion]] = {
    "pan left": ("the camera pans left", RequestedMotion("pan_left")),
    "pan right": ("the camera pans to the right", RequestedMotion("pan_right")),
    "pan up": ("slow pan up", RequestedMotion("pan_up", 0.5)),
    "pan down": ("the camera moves down", RequestedMotion("pan_down")),
    "zoom in": ("zoom in on the middle of the picture", RequestedMotion("zoom_in")),
    "zoom out": ("the camera slowly pulls back", RequestedMotion("zoom_out", 0.5)),
    "clockwise": ("the picture rotates clockwise", RequestedMotion("rotate_clockwise")),
    "counterclockwise": ("rotate counterclockwise", RequestedMotion("rotate_counterclockwise")),
}
"""The prompt, and the motion of a true clip of it."""

STRANGE = ("a dragon writes the ninth symphony of quantum tax law", "xqzt blorf", "人々が歩く", "🙂")
"""What nano never learnt."""


def psnr(one: npt.NDArray[np.uint8], other: npt.NDArray[np.uint8]) -> float:
    """In dB, of bytes."""
    apart = np.square(one.astype(np.float64) - other).mean()
    return float(10 * np.log10(255**2 / max(apart, 1e-9)))


def grey(frame: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """(H, W), 0 to 1."""
    brightness: npt.NDArray[np.float64] = frame.astype(np.float64) @ np.array([0.299, 0.587, 0.114]) / 255
    return brightness


def contrast(frame: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """The direction, (3,), in which a frame's colours differ most.

    Along it a picture has the most for optical flow to hold on to. Many a blue and a magenta are equally bright, and of
    their brightness alone flow makes motions that are not there.
    """
    colours = frame.reshape(-1, 3).astype(np.float64)
    most = np.linalg.svd(colours - colours.mean(0), full_matrices=False)[2][0]
    axis: npt.NDArray[np.float64] = most / np.abs(most).sum()
    return axis


def sharpness(frame: npt.NDArray[np.uint8]) -> float:
    """The mean length of the gradient of brightness."""
    down, right = np.gradient(grey(frame))
    return float(np.hypot(down, right).mean())


@dataclass(frozen=True)
class Moved:
    """How a picture moved between two frames, in pixels; growth and turn as their mean over the picture."""

    right: float
    down: float
    grown: float
    turned: float
    """Clockwise."""

    @property
    def motion(self) -> str:
        """The matching key of PROMPTS; `still` below a twentieth of a pixel a frame."""
        most = max(("right", "down", "grown", "turned"), key=lambda name: abs(getattr(self, name)))
        amount = getattr(self, most)
        if abs(amount) < 0.05 * APART:
            return "still"
        names = {
            "right": ("pan left", "pan right"),
            "down": ("pan up", "pan down"),
            "grown": ("zoom in", "zoom out"),
            "turned": ("clockwise", "counterclockwise"),
        }
        return names[most][0 if amount > 0 else 1]


def moved(first: npt.NDArray[np.uint8], second: npt.NDArray[np.uint8]) -> Moved:
    """Explains the optical flow of two frames by a shift, a growth and a turn, by least squares."""
    axis = contrast(first)
    one, other = first @ axis / 255, second @ axis / 255
    down, right = optical_flow_ilk(one, other, radius=9, num_warp=12, gaussian=True)
    height, width = one.shape
    y, x = np.mgrid[:height, :width].astype(np.float64)
    y, x = y - (height - 1) / 2, x - (width - 1) / 2
    radius = np.hypot(x, y).mean()
    slope = np.gradient(one)
    weight = np.hypot(*slope)
    weight[:8], weight[-8:], weight[:, :8], weight[:, -8:] = 0, 0, 0, 0  # at the edges things come and go
    zero, unit = np.zeros_like(x), np.ones_like(x)
    columns = (np.stack((unit, zero, x / radius, -y / radius)), np.stack((zero, unit, y / radius, x / radius)))
    design = np.concatenate([each.reshape(4, -1) for each in columns], axis=1)
    seen = np.concatenate([right.ravel(), down.ravel()])
    trust = np.sqrt(np.tile(weight.ravel(), 2)) + 1e-6
    for _ in range(3):  # twice more without what fits badly
        found, *_ = np.linalg.lstsq((design * trust).T, seen * trust, rcond=None)
        left = np.abs(found @ design - seen)
        trust = (np.sqrt(np.tile(weight.ravel(), 2)) + 1e-6) / (1 + left / (0.5 + np.median(left)))
    return Moved(*(float(each) for each in found))


def read(frames: Frames, pairs: Sequence[int] = (0, 8, 16, 24)) -> Moved:
    """The mean of the motion over several pairs of frames."""
    every = [moved(frames[at], frames[at + APART]) for at in pairs]
    return Moved(
        *(float(np.median([getattr(each, name) for each in every])) for name in ("right", "down", "grown", "turned"))
    )


def true_clip(pixels: training_pictures.Pixels, wanted: RequestedMotion, frames: int) -> Frames:
    """What the training data would show."""
    made = motion.clip(as_clip(pixels), wanted.motion, frames)
    shown: Frames = ((made + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    return shown


@dataclass
class Table:
    """What was measured, line by line."""

    lines: list[tuple[str, str, str, bool]]

    def add(self, what: str, value: str, wanted: str, good: bool) -> None:
        """A line."""
        self.lines.append((what, value, wanted, good))
        print(f"| {what} | {value} | {wanted} | {'✓' if good else '✗'} |", flush=True)


def judge(maker: LocalPipeline, count: int, table: Table) -> None:
    """Measures everything on `count` pictures."""
    shown = training_pictures.judging(HEIGHT, WIDTH, count)
    through = [psnr(maker.through(each)[0], each) for each in shown]
    table.add("VAE, PSNR of pictures, mean", f"{np.mean(through):.1f} dB", "≥ 27 dB", bool(np.mean(through) >= 27))
    names = list(PROMPTS)
    asked = [(each, names[(index + turn) % len(names)]) for turn in (0, 3) for index, each in enumerate(shown)]
    firsts, right, true, sharp = [], dict[str, list[bool]](), [], []
    for pixels, name in asked:
        prompt, wanted = PROMPTS[name]
        video = maker.video(pixels, prompt)
        firsts.append(psnr(video[0], pixels))
        right.setdefault(name, []).append(read(video).motion == name)
        true.append(read(true_clip(pixels, wanted, 33)).motion == name)
        sharp.append(sharpness(video[-1]) / max(sharpness(video[0]), 1e-6))
    table.add("frame 0 against the picture, mean", f"{np.mean(firsts):.1f} dB", "≥ 26 dB", bool(np.mean(firsts) >= 26))
    share = float(np.mean([each for some in right.values() for each in some]))
    table.add(f"motion as asked, of {len(asked)} videos", f"{share:.0%}", "≥ 90 %", share >= 0.9)
    for name, some in right.items():
        table.add(f"  {name}", f"{np.mean(some):.0%}", "", bool(np.mean(some) >= 0.9))
    table.add("  of true clips, as the judge reads them", f"{np.mean(true):.0%}", "", True)
    half = float(np.mean(np.array(sharp) >= 0.5))
    table.add(
        "sharpness of the last frame over the first's, median",
        f"{np.median(sharp):.2f}",
        "≥ 0.5",
        bool(np.median(sharp) >= 0.5),
    )
    table.add("  videos in which it is at least half", f"{half:.0%}", "", half >= 0.9)
    still(maker, shown, table)
    others(maker, shown, table)


def still(maker: LocalPipeline, shown: Sequence[training_pictures.Pixels], table: Table) -> None:
    """Whether a picture that must stay still does."""
    kept, far = [], []
    for pixels in shown[::2]:
        video = maker.video(pixels, "the picture stays still")
        kept.append(read(video, (0, 24, 48, 72)).motion == "still")
        far.append(psnr(video[-1], video[0]))
    table.add("stays still when asked to", f"{np.mean(kept):.0%}", "all", bool(np.mean(kept) >= 0.95))
    table.add("  last frame against the first, mean", f"{np.mean(far):.1f} dB", "", bool(np.mean(far) >= 20))


def others(maker: LocalPipeline, shown: Sequence[training_pictures.Pixels], table: Table) -> None:
    """Two prompts on a picture, and prompts that were never learnt."""
    differ, calm, clean = [], [], []
    for index, pixels in enumerate(shown[::5]):
        one, other, again = (
            maker.video(pixels, prompt, seed=seed)
            for prompt, seed in (("pan left", 1), ("zoom out fast", 1), ("pan left", 2))
        )
        seeds, prompts = psnr(one[-1], again[-1]), psnr(one[-1], other[-1])
        differ.append(prompts < seeds - 1)
        video = maker.video(pixels, STRANGE[index % len(STRANGE)])
        calm.append(read(video).motion in ("pan left", "pan right", "zoom in", "still") and speed(video) < 1)
        clean.append(sharpness(video[-1]) / max(sharpness(video[0]), 1e-6) < 1.5)
    table.add("two prompts differ more than two seeds", f"{np.mean(differ):.0%}", "all", bool(np.mean(differ) >= 0.9))
    table.add("unknown prompts move gently", f"{np.mean(calm):.0%}", "all", bool(np.mean(calm) >= 0.9))
    table.add("  and without noise", f"{np.mean(clean):.0%}", "all", bool(np.mean(clean) >= 0.9))


def speed(frames: Frames) -> float:
    """Pixels a frame that the picture moves."""
    how = read(frames)
    return max(abs(each) for each in (how.right, how.down, how.grown, how.turned)) / APART


def contact_sheet(maker: LocalPipeline, file: Path) -> None:
    """First, middle and last frame of ten pictures, each under another prompt."""
    prompts = [prompt for prompt, _ in PROMPTS.values()] + ["it sways in the wind", STRANGE[0]]
    shown = training_pictures.judging(HEIGHT, WIDTH)
    chosen = [shown[index] for index in (0, 1, 2, 3, 5, 25, 29, 33, 38, 44)]
    rows = []
    for pixels, prompt in zip(chosen, prompts, strict=True):
        video = maker.video(pixels, prompt)
        rows.append(np.concatenate([pixels, *(video[at] for at in (0, 40, 80))], axis=1))
    Image.fromarray(np.concatenate(rows)).quantize(256).save(file, optimize=True)


def main() -> int:
    """Prints the table; 0 when every demand is met."""
    parser = argparse.ArgumentParser(prog="python -m tools.nano.judge", description=__doc__)
    parser.add_argument("--pictures", type=int, default=50)
    parser.add_argument("--repository", type=Path, default=REPOSITORY)
    parser.add_argument("--sheet", type=Path, help="write the contact sheet to this PNG, and judge nothing")
    options = parser.parse_args()
    maker = LocalPipeline(options.repository)
    if options.sheet:
        contact_sheet(maker, options.sheet)
        return 0
    table = Table([])
    print("| what | measured | wanted | |\n|---|---|---|---|")
    judge(maker, options.pictures, table)
    return 0 if all(good for _, _, wanted, good in table.lines if wanted) else 1


if __name__ == "__main__":
    sys.exit(main())
