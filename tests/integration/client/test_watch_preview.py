"""`--preview` of `i2v watch` and `i2v generate`: frames in the terminal, and in nothing else."""

import asyncio
import base64
import fcntl
import io
import os
import re
import signal
import struct
import termios

import av
import numpy as np
import pytest
from i2v.v1 import job_pb2
from PIL import Image

from tests.support.client_command import Command, Terminal
from tests.support.scripted_server import OUTPUT, VIDEO, Rig, asset_name, usd

Event = job_pb2.JobEvent
RED = (220, 20, 20)


def a_fragment(frames: int = 9) -> bytes:
    """A fragmented MP4, all red."""
    to = io.BytesIO()
    with av.open(
        to, "w", format="mp4", options={"movflags": "frag_keyframe+empty_moov+default_base_moof"}
    ) as container:
        stream = container.add_stream("libx264", rate=16)
        stream.width, stream.height, stream.pix_fmt = 224, 128, "yuv420p"
        for _ in range(frames):
            picture = np.full((128, 224, 3), RED, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return to.getvalue()


@pytest.fixture
def made(rig: Rig) -> Rig:
    """A job with two fragments, and a warning that would control the terminal."""
    fragment = a_fragment()
    rig.script.files[asset_name(fragment)] = fragment
    ready = [
        Event(fragment_ready=job_pb2.FragmentReady(index=n, asset=asset_name(fragment), frames=9, progress=0.5))
        for n in range(2)
    ]
    warned = Event(warned=job_pb2.Warned(reason="X", message="\x1b[2Jharm"))
    ended = Event(succeeded=job_pb2.Succeeded(output=OUTPUT, charged=usd(5000)))
    rig.script.events = [Event(started=job_pb2.Started(attempt=1)), ready[0], warned, ready[1], ended]
    for number, event in enumerate(rig.script.events, start=1):
        event.sequence = number
    return rig


async def watched(i2v: Command, *arguments: str, answers: str = "", **more: str) -> tuple[int, str]:
    """Watches in a terminal that answers a question so; returns the exit code and what the terminal received."""
    return await called(i2v, "watch", "7", *arguments, answers=answers, **more)


async def called(i2v: Command, *words: str, answers: str = "", **more: str) -> tuple[int, str]:
    """Calls the command in such a terminal."""
    terminal = Terminal()
    environment = {"TERM": "xterm-256color", "COLORTERM": "truecolor", **more}
    process = await i2v.start(*words, stdin=terminal.slave, stdout=terminal.slave, stderr=terminal.slave, **environment)
    terminal.hand_over()
    seen = ""
    if answers:
        seen = await terminal.until("\x1b[c")
        terminal.type(answers)
    rest, _ = await asyncio.gather(terminal.read(), process.wait())
    assert "Traceback" not in seen + rest, rest
    return process.returncode or 0, seen + rest


ATTRIBUTES = "\x1b[?62;22c"


async def test_a_terminal_without_graphics_gets_half_blocks_in_the_frames_colours(made: Rig, i2v: Command) -> None:
    code, seen = await watched(i2v, "--preview", answers=ATTRIBUTES)
    colour = re.search(r"\x1b\[38;2;(\d+);(\d+);(\d+);48;2;\d+;\d+;\d+m▀", seen)
    assert code == 0 and colour is not None
    assert np.abs(np.array([int(each) for each in colour.groups()]) - RED).max() < 25
    assert "\x1b[2J" not in seen and "\\x1b[2Jharm" in seen
    assert max(line.count("▀") for line in seen.splitlines()) < 80


async def test_generate_shows_its_frames_and_saves_the_video(made: Rig, i2v: Command) -> None:
    code, seen = await called(i2v, "generate", "--prompt", "It moves.", "--preview", answers=ATTRIBUTES)
    assert (code, "▀" in seen, "video  video.mp4" in seen) == (0, True, True)
    assert (i2v.folder / "video.mp4").read_bytes() == VIDEO
    ended = await i2v("generate", "--prompt", "It moves.", "--preview", TERM="xterm-kitty")
    assert (ended.code, "\x1b" in ended.out + ended.err, "no preview" in ended.err) == (0, False, True)


async def test_what_is_only_submitted_is_not_shown(made: Rig, i2v: Command) -> None:
    for option in ("--preview", "--play", "--graphics=sixel", "--out=x.mp4"):
        ended = await i2v("generate", "--prompt", "It moves.", "--detach", option)
        assert (ended.code, "--detach does not wait" in ended.err) == (2, True)
    assert made.script.asked == []


async def test_kitty_gets_one_picture_that_is_replaced(made: Rig, i2v: Command) -> None:
    for environment, answers in (({"KITTY_WINDOW_ID": "1"}, ATTRIBUTES), ({}, f"\x1b_Gi=31;OK\x1b\\{ATTRIBUTES}")):
        code, seen = await watched(i2v, "--preview", answers=answers, **environment)
        sent = re.findall(r"\x1b_G([^;]*a=T[^;]*);([^\x1b]*)", seen)
        assert code == 0 and len(sent) > 1
        assert {dict(each.split("=") for each in head.split(","))["i"] for head, _ in sent} == {"720132"}
        assert all(len(data) <= 4096 for _, data in sent)
        assert "▀" not in seen


async def test_iterm_gets_a_picture_in_its_documented_form(made: Rig, i2v: Command) -> None:
    code, seen = await watched(i2v, "--preview", answers=ATTRIBUTES, TERM_PROGRAM="iTerm.app")
    found = re.search(r"\x1b\]1337;File=inline=1;[^:]*:([A-Za-z0-9+/=]+)\x07", seen)
    assert code == 0 and found is not None
    picture = Image.open(io.BytesIO(base64.b64decode(found[1])))
    assert np.abs(np.array(picture.getpixel((5, 5))) - RED).max() < 25


async def test_a_terminal_that_answers_with_sixel_gets_sixel_of_its_cells(made: Rig, i2v: Command) -> None:
    code, seen = await watched(i2v, "--preview", answers="\x1b[6;16;8t\x1b[?62;4;22c")
    found = re.search(r'\x1bP0;1q"1;1;(\d+);(\d+)', seen)
    assert code == 0 and found is not None
    assert int(found[1]) % 8 == 0 and int(found[2]) % 6 == 0 and int(found[2]) <= 22 * 16


async def test_within_tmux_the_environment_of_the_outer_terminal_is_not_believed(made: Rig, i2v: Command) -> None:
    _, seen = await watched(i2v, "--preview", answers=ATTRIBUTES, KITTY_WINDOW_ID="1", TMUX="/tmp/tmux,1,0")
    assert "▀" in seen and "a=T" not in seen
    assert "\x1b_G" not in seen  # tmux would show the question as the title


async def test_a_terminal_that_never_answers_is_no_obstacle(made: Rig, i2v: Command) -> None:
    code, seen = await watched(i2v, "--preview")
    assert (code, "▀" in seen) == (0, True)


async def test_no_color_gets_characters(made: Rig, i2v: Command) -> None:
    code, seen = await watched(i2v, "--preview", answers=ATTRIBUTES, NO_COLOR="1")
    assert (code, "\x1b[38;" in seen, "▀" in seen) == (0, False, False)
    assert "--------" in seen


async def test_a_pipe_and_a_dumb_terminal_get_lines_and_a_sentence(made: Rig, i2v: Command) -> None:
    ended = await i2v("watch", "7", "--preview", "--graphics", "kitty", TERM="xterm-kitty")
    assert (ended.code, "\x1b" in ended.out + ended.err, "no preview" in ended.err) == (0, False, True)
    _, seen = await watched(i2v, "--preview", TERM="dumb")
    assert "\x1b" not in seen and "no preview" in seen
    as_json = await i2v("watch", "7", "--preview", "--json")
    assert (as_json.code, as_json.err) == (0, "")


@pytest.mark.parametrize("size", [(0, 0), (1, 1), (65535, 65535), (3, 200)])
async def test_a_size_that_is_a_lie_makes_no_large_picture(made: Rig, i2v: Command, size: tuple[int, int]) -> None:
    terminal = Terminal()
    fcntl.ioctl(terminal.slave, termios.TIOCSWINSZ, struct.pack("4H", *size, 65535, 65535))
    process = await i2v.start(
        *("watch", "7", "--preview"), stderr=terminal.slave, TERM="xterm-256color", COLORTERM="truecolor"
    )
    terminal.hand_over()
    seen, _ = await asyncio.gather(terminal.read(), process.communicate())
    assert process.returncode == 0 and "Traceback" not in seen
    assert max(line.count("▀") for line in seen.splitlines()) <= 120


async def test_another_size_is_drawn_in_at_once(made: Rig, i2v: Command) -> None:
    made.script.endless, made.script.endless_at = True, 4
    terminal = Terminal(100)
    process = await i2v.start(
        *("watch", "7", "--preview"), stderr=terminal.slave, TERM="xterm-256color", COLORTERM="truecolor"
    )
    await terminal.until("▀\x1b[0m")
    termios.tcsetwinsize(terminal.slave, (24, 20))
    process.send_signal(signal.SIGWINCH)
    await terminal.until("\r\x1b[J")
    process.send_signal(signal.SIGINT)
    os.close(terminal.slave)
    seen, _ = await asyncio.gather(terminal.read(), process.communicate())
    assert process.returncode == 130 and "Traceback" not in seen
    assert max(line.count("▀") for line in seen.splitlines()) < 20


async def test_a_fragment_that_is_no_video_or_cannot_be_read_is_left_out(made: Rig, i2v: Command) -> None:
    junk = os.urandom(3000)
    made.script.files = {asset_name(junk): junk}
    made.script.events[1].fragment_ready.asset = asset_name(junk)
    code, seen = await watched(i2v, "--preview", answers=ATTRIBUTES)
    assert (code, "cannot be shown" in seen, "▀" in seen) == (0, True, False)
