"""Descriptions of a motion: captions in many wordings, each with the motion that it asks for.

A caption that asks for nothing, or for something that was never learnt, means `drift`.
"""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tools.nano.motion import Motion

SLOW, FAST = 0.5, 1.8
"""Amounts of a slow and of a fast motion; the usual is 1."""

WORDS = tomllib.loads((Path(__file__).parent / "words.toml").read_text())
"""What captions are made of."""

SIDES: dict[str, list[str]] = WORDS["sides"]
AGAINST = {"pan_right": "pan_left", "pan_left": "pan_right", "pan_down": "pan_up", "pan_up": "pan_down"}
"""Where what is seen goes when the camera pans, in the words for a pan to that side."""
PHRASES: dict[str, list[str]] = WORDS["phrases"]


def pick(rng: np.random.Generator, words: Sequence[str]) -> str:
    """One of them."""
    return words[int(rng.integers(len(words)))]


def subject(rng: np.random.Generator) -> str:
    """Something that may be in a picture; sometimes an invented word."""
    noun = pick(rng, WORDS["subjects"])
    if rng.random() < 0.15:
        noun = "".join(pick(rng, list("abcdefghijklmnoprstuvwz")) for _ in range(int(rng.integers(3, 9))))
    noun = f"{pick(rng, WORDS['adjectives'])} {noun}" if rng.random() < 0.4 else noun
    return f"{pick(rng, ['the', 'a', 'the', 'my', 'this', 'the'])} {noun}" if rng.random() < 0.9 else noun


def idle(rng: np.random.Generator) -> str:
    """Words about a picture that ask for no motion of ours."""
    parts = [subject(rng)]
    if rng.random() < 0.6:
        parts.append(pick(rng, WORDS["deeds"]))
    if rng.random() < 0.2:
        parts.append(f"and {subject(rng)} {pick(rng, WORDS['deeds'])}")
    return " ".join(parts)


def paced(rng: np.random.Generator, phrase: str, pace: float) -> str:
    """A phrase with a word about its pace."""
    if pace == 1:
        return phrase
    if rng.random() < 0.3:
        return f"{pick(rng, WORDS['slow'] if pace < 1 else WORDS['fast'])} {phrase}"
    word = pick(rng, WORDS["slowly"] if pace < 1 else WORDS["quickly"])
    return f"{phrase} {word}" if rng.random() < 0.6 else f"{word} {phrase}"


def spoken(rng: np.random.Generator, kind: str, pace: float) -> str:
    """One motion in words."""
    if kind in SIDES:
        places, side = SIDES[kind], kind.removeprefix("pan_")
        if rng.random() < 0.25:
            moving = pick(rng, ("slides", "moves", "glides", "shifts", "travels", "drifts"))
            where = pick(rng, SIDES[AGAINST[kind]])
            return f"{pick(rng, WORDS['scene'])} {paced(rng, f'{moving} {where}', pace)}"
        if rng.random() < 0.3:
            return paced(rng, f"{pick(rng, WORDS['panning'])} {pick(rng, places)}", pace)
        if rng.random() < 0.2:
            return paced(rng, f"{side} pan", pace)
        pans = f"{pick(rng, WORDS['pans'])} {pick(rng, places)}"
        return f"{pick(rng, WORDS['camera'])} {paced(rng, pans, pace)}"
    phrase = pick(rng, PHRASES[kind])
    alone = "{subject}" in phrase or phrase.startswith(("the ", "a ", "lights"))
    text = paced(rng, phrase.format(subject=subject(rng)), pace)
    if alone or rng.random() < 0.35:
        return text
    who = pick(rng, WORDS["camera"] if kind.startswith(("zoom", "tilt")) or rng.random() < 0.3 else WORDS["scene"])
    return f"{who if rng.random() < 0.7 else subject(rng)} {text}"


OPPOSITES = {"pan_left": "pan_right", "pan_up": "pan_down", "zoom_out": "zoom_in", "tilt_down": "tilt_up"} | {
    "rotate_counterclockwise": "rotate_clockwise"
}
SPOKEN = (*SIDES, *PHRASES)
"""Every kind that has words of its own."""
SECOND = ("zoom_in", "zoom_out", "rotate_clockwise", "rotate_counterclockwise")
"""Kinds that may come with another. They move each part of a picture otherwise, so they are the hardest to learn."""
ODDS = np.array([2.5 if each in SECOND else 1.25 if each in (*SIDES, "still") else 0.7 for each in SPOKEN])
"""How often each of SPOKEN is requested, in proportion."""


@dataclass(frozen=True)
class RequestedMotion:
    """The motion that a caption requests."""

    kind: str
    """One of SPOKEN, or `nothing`."""
    pace: float = 1.0
    other: str = ""
    """A second motion at its usual pace."""

    @property
    def motion(self) -> Motion:
        """The motion that is meant."""
        both = zip(moving(self.kind, self.pace).numbers(), moving(self.other, 1.0).numbers(), strict=True)
        return Motion(*(one + two for one, two in both))


def moving(kind: str, pace: float) -> Motion:
    """One kind of motion at a pace."""
    if kind in ("", "still"):
        return Motion()
    if kind == "nothing":
        return Motion(drift=1)
    return replace(Motion(), **{OPPOSITES.get(kind, kind): -pace if kind in OPPOSITES else pace})


def random_motion(rng: np.random.Generator) -> RequestedMotion:
    """Any motion; one in eight is none."""
    draw = rng.random()
    if draw < 0.12:
        return RequestedMotion("nothing")
    kind = SPOKEN[int(rng.choice(len(SPOKEN), p=ODDS / ODDS.sum()))]
    pace = 1.0 if kind == "still" else float(rng.choice([SLOW, 1.0, FAST], p=[0.3, 0.45, 0.25]))
    both = draw > 0.9 and kind in (*SIDES, "sway", "ripple", "pulse")
    return RequestedMotion(kind, pace, pick(rng, SECOND) if both else "")


def caption(rng: np.random.Generator, wanted: RequestedMotion) -> str:
    """A caption that requests a motion."""
    if wanted.kind == "nothing":
        parts = [idle(rng)]
    else:
        text = spoken(rng, wanted.kind, wanted.pace)
        if wanted.other:
            text = f"{text} {pick(rng, ('and', 'while', 'as'))} {spoken(rng, wanted.other, 1.0)}"
        parts = [text]
        if rng.random() < 0.45:
            parts.insert(int(rng.integers(2)), idle(rng))
    for _ in range(int(rng.integers(3)) if rng.random() < 0.3 else 0):
        parts.insert(int(rng.integers(len(parts) + 1)), pick(rng, WORDS["styles"]))
    return pick(rng, (", ", ". ", "; ", ", ")).join(parts) + pick(rng, ("", "", ".", "!"))
