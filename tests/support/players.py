"""Programs that people watch videos with, found on this machine: they play a URL, and say what they have shown."""

import asyncio
import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

FFPLAY, VLC = shutil.which("ffplay"), shutil.which("vlc")
NO_FFPLAY = "needs ffplay: apt-get install ffmpeg"
NO_VLC = "needs VLC: apt-get install --no-install-recommends vlc-bin vlc-plugin-base"
SHOWN = re.compile(r"Parsed_showinfo\S* @ \S+\] n: *\d+ pts: *-?\d+ pts_time:(-?[\d.]+)")
UNPRIVILEGED = 65534
"""The id of a user and of a group without rights, on every Linux."""


async def by_ffplay(url: str) -> list[float]:
    """Plays a URL to its end by ffplay. Returns when each picture was shown, in seconds of the video."""
    options = ["-an", "-autoexit", "-noframedrop", "-vf", "showinfo", "-live_start_index", "0"]
    options += ["-analyzeduration", "1", "-fpsprobesize", "0"]  # the command of docs/http.md
    log = await _output([str(FFPLAY), "-hide_banner", *options, url], SDL_VIDEODRIVER="dummy", SDL_AUDIODRIVER="dummy")
    return [float(each) for each in SHOWN.findall(log)]


async def by_vlc(url: str, folder: Path) -> int:
    """Plays a URL to its end by VLC. Returns how many different pictures it has shown."""
    pictures = folder / "vlc"
    pictures.mkdir()
    pictures.chmod(0o777)
    options = ["-I", "dummy", "--no-audio", "--vout=dummy", "--play-and-exit", "--video-filter=scene"]
    options += [
        "--no-drop-late-frames",
        "--no-skip-frames",
        "--scene-ratio=1",
        "--scene-format=jpg",
        f"--scene-path={pictures}",
    ]
    # VLC refuses to run as root.
    other = (
        ["setpriv", f"--reuid={UNPRIVILEGED}", f"--regid={UNPRIVILEGED}", "--clear-groups"] if os.geteuid() == 0 else []
    )
    for each in (folder, *folder.parents):
        if other and not each.stat().st_mode & 0o001:
            each.chmod(each.stat().st_mode | 0o001)
    await _output([*other, str(VLC), *options, url], HOME=str(pictures))
    return len({each.read_bytes() for each in pictures.glob("*.jpg")})


async def _output(command: Sequence[str], **environment: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=os.environ | environment,
    )
    try:
        log, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return log.decode(errors="replace")
