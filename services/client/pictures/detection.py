"""How the terminal at stderr shows pictures: by its environment, then by its answers.

Within tmux and screen the environment is that of a terminal further out, so only answers count.
"""

import fcntl
import os
import re
import select
import struct
import sys
import termios
import time
import tty
from collections.abc import Mapping

from services.client.pictures.graphics import Cell, Colours, Graphics, Style

ANSWER_WITHIN_S = 0.5
"""Every terminal answers the last question; one that does not in this time is asked no more."""
KITTY_QUESTION = b"\x1b_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\x1b\\"
"""Do you have Kitty's graphics? tmux and screen take it for a title, and show it."""
QUESTIONS = b"\x1b[16t\x1b[c"
"""How large is a character, and what else do you have?"""
ATTRIBUTES = re.compile(rb"\x1b\[\?([\d;]*)c")
CELL = re.compile(rb"\x1b\[6;(\d+);(\d+)t")
LARGEST_CELL = 64
"""Pixels. A larger one is a lie, and would make large pictures."""


def style(wanted: Graphics | None = None) -> Style | None:
    """Returns how stderr shows pictures; None if it is no terminal that can. Blocking, up to ANSWER_WITHIN_S."""
    environment = os.environ
    if sys.stderr is None or not sys.stderr.isatty() or environment.get("TERM", "dumb") in ("", "dumb"):
        return None
    questions = QUESTIONS if _within_another(environment) else KITTY_QUESTION + QUESTIONS
    answers = _answers(sys.stderr.fileno(), questions)
    graphics = wanted or by_environment(environment) or by_answers(answers)
    return Style(graphics, colours(environment), _cell(sys.stderr.fileno(), answers))


def by_environment(environment: Mapping[str, str]) -> Graphics | None:
    """Returns what a known terminal shows; None: it has to be asked."""
    term, program = environment.get("TERM", ""), environment.get("TERM_PROGRAM", "")
    if _within_another(environment):
        return None
    if "KITTY_WINDOW_ID" in environment or term == "xterm-kitty" or program == "ghostty":
        return Graphics.KITTY
    if program in ("iTerm.app", "WezTerm") or environment.get("LC_TERMINAL") == "iTerm2":
        return Graphics.ITERM
    return None


def by_answers(answers: bytes) -> Graphics:
    """Returns what a terminal that answered so shows."""
    if b"\x1b_Gi=31;OK\x1b\\" in answers:
        return Graphics.KITTY
    found = ATTRIBUTES.search(answers)
    return Graphics.SIXEL if found and b"4" in found[1].split(b";") else Graphics.BLOCKS


def colours(environment: Mapping[str, str]) -> Colours:
    """Returns the colours of text, none if the person wants none. https://no-color.org"""
    if environment.get("NO_COLOR"):
        return Colours.NONE
    if environment.get("COLORTERM") in ("truecolor", "24bit"):
        return Colours.TRUE
    return Colours.INDEXED if "256" in environment.get("TERM", "") else Colours.NONE


def _within_another(environment: Mapping[str, str]) -> bool:
    """Returns whether tmux or screen draw the terminal within another one."""
    return "TMUX" in environment or "STY" in environment or environment.get("TERM", "").startswith(("tmux", "screen"))


def _answers(terminal: int, questions: bytes) -> bytes:
    """Asks the terminal and returns what it answers in time, without echo; nothing where it cannot be asked."""
    try:
        own = os.open(os.ttyname(terminal), os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        if not _in_foreground(own):
            return b""  # a question would stop a background process
        before = termios.tcgetattr(own)
        try:
            tty.setcbreak(own, termios.TCSANOW)
            os.write(own, questions)
            return _read(own)
        finally:
            termios.tcsetattr(own, termios.TCSAFLUSH, before)  # drops the rest of an answer
    except (OSError, termios.error):
        return b""
    finally:
        os.close(own)


def _in_foreground(terminal: int) -> bool:
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return True  # it does not control this process, so it cannot stop it


def _read(terminal: int) -> bytes:
    answers, until = b"", time.monotonic() + ANSWER_WITHIN_S
    while not ATTRIBUTES.search(answers) and len(answers) < 4096:
        if not select.select([terminal], [], [], max(0.0, until - time.monotonic()))[0]:
            break
        data = os.read(terminal, 1024)
        if not data:
            break
        answers += data
    return answers


def _cell(terminal: int, answers: bytes) -> Cell:
    """Returns the size of a character: the terminal's answer, else the kernel's knowledge, else the usual one."""
    if found := CELL.search(answers):
        height, width = int(found[1]), int(found[2])
    else:
        size = struct.unpack("4H", fcntl.ioctl(terminal, termios.TIOCGWINSZ, bytes(8)))
        height, width = (size[3] // size[0], size[2] // size[1]) if size[0] and size[1] else (0, 0)
    return Cell(width, height) if 0 < width <= LARGEST_CELL and 0 < height <= LARGEST_CELL else Cell()
