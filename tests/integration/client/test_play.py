"""`i2v watch --play` with programs in the place of players."""

import asyncio
import io
import os
import signal
import sys
from pathlib import Path

import av
import pytest
from i2v.v1 import job_pb2

from services.client.fragment_feed import FragmentFeed
from services.client.player import Player
from tests.support.client_command import Command, Ended
from tests.support.live_fragments import fragments
from tests.support.scripted_server import OUTPUT, VIDEO, Rig, asset_name, usd

Event = job_pb2.JobEvent
PARTS = fragments([4, 4, 4])
TAKES_ALL = "import sys; open('played', 'wb').write(sys.stdin.buffer.read())"


def announced(rig: Rig, *order: tuple[int, int]) -> None:
    """Makes a job whose fragments come in an order: the index, and which part it is."""
    rig.script.files = {asset_name(each): each for each in PARTS}
    steps = [
        Event(fragment_ready=job_pb2.FragmentReady(index=index, asset=asset_name(PARTS[part]), frames=4))
        for index, part in order
    ]
    steps.append(Event(succeeded=job_pb2.Succeeded(output=OUTPUT, charged=usd(5000))))
    for number, event in enumerate(steps, start=1):
        event.sequence = number
    rig.script.events = steps


async def played(i2v: Command, program: str, *, name: str = "ffplay", **more: str) -> Ended:
    """Watches with a program as the player."""
    bin = i2v.folder / "players"
    bin.mkdir()
    player = bin / name
    player.write_text(f"#!{sys.executable}\nimport os; os.chdir({str(i2v.folder)!r})\n{program}\n")
    player.chmod(0o755)
    return await i2v("watch", "7", "--play", PATH=str(bin), **more)


async def pid_in(folder: Path) -> int:
    """The process id that a player wrote into a file, as soon as it is there."""
    file = folder / "pid"
    async with asyncio.timeout(60):
        while not file.exists() or not file.read_text():  # noqa: ASYNC110  Another process writes it.
            await asyncio.sleep(0.02)
    return int(file.read_text())


@pytest.mark.parametrize("name", ["ffplay", "mpv", "vlc"])
async def test_a_player_gets_all_fragments_as_one_video(rig: Rig, i2v: Command, name: str) -> None:
    announced(rig, (0, 0), (1, 1), (2, 2))
    ended = await played(i2v, TAKES_ALL, name=name)
    assert (ended.code, (i2v.folder / "played").read_bytes()) == (0, b"".join(PARTS)), ended.err
    with av.open(io.BytesIO(b"".join(PARTS))) as container:
        assert len(list(container.decode(video=0))) == 12


async def test_a_replaced_fragment_starts_the_player_again_with_what_is_valid(rig: Rig, i2v: Command) -> None:
    announced(rig, (0, 0), (1, 1), (1, 2))
    ended = await played(i2v, TAKES_ALL)
    assert (ended.code, (i2v.folder / "played").read_bytes()) == (0, PARTS[0] + PARTS[2]), ended.err


async def test_a_job_without_fragments_is_played_when_its_video_is_there(rig: Rig, i2v: Command) -> None:
    announced(rig)
    ended = await played(i2v, TAKES_ALL)
    assert (ended.code, (i2v.folder / "played").read_bytes()) == (0, VIDEO)


async def test_what_a_player_prints_does_not_reach_the_terminal(rig: Rig, i2v: Command) -> None:
    announced(rig, (0, 0))
    noisy = "import sys; print('\\x1b[2J', file=sys.stderr); print('\\x1b[2J'); sys.stdin.read()"
    ended = await played(i2v, f"{noisy}")
    assert "\x1b" not in ended.out + ended.err


async def test_a_player_that_dies_is_reported_and_the_watch_goes_on(rig: Rig, i2v: Command) -> None:
    announced(rig, (0, 0), (1, 1), (2, 2))
    ended = await played(i2v, "os._exit(3)")
    assert (ended.code, "ended with 3" in ended.err, "succeeded" in ended.err) == (0, True, True)


async def test_a_machine_without_a_player_says_what_to_install(rig: Rig, i2v: Command) -> None:
    ended = await i2v("watch", "7", "--play", PATH="/nonexistent")
    assert (ended.code, "install one of ffplay, mpv, vlc" in ended.err) == (2, True)


async def test_a_player_that_cannot_be_started_is_reported(rig: Rig, i2v: Command) -> None:
    announced(rig, (0, 0))
    bin = i2v.folder / "players"
    bin.mkdir()
    (bin / "mpv").write_bytes(b"\x7fELF nonsense")
    (bin / "mpv").chmod(0o755)
    ended = await i2v("watch", "7", "--play", PATH=str(bin))
    assert (ended.code, "cannot be started" in ended.err) == (0, True)


@pytest.mark.parametrize("reads", [False, True])
async def test_a_player_that_hangs_is_stopped_though_it_ignores_the_request(
    rig: Rig, tmp_path: Path, reads: bool
) -> None:
    announced(rig, *((n, 0) for n in range(20)))
    hangs = (
        f"import os, signal, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        f"open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()));"
        f"{'sys.stdin.buffer.read()' if reads else ''}\ntime.sleep(600)"
    )
    said: list[str] = []
    player = Player((sys.executable, "-c", hangs), report=said.append, patience_s=1)
    async with FragmentFeed(rig.client, [player], report=said.append, patience_s=5) as feed:
        for event in rig.script.events:
            feed.event(event)
        number = await pid_in(tmp_path)
    assert len(said) == 1
    with pytest.raises(ProcessLookupError):
        os.kill(number, 0)


async def test_ctrl_c_ends_the_player_and_leaves_the_job(rig: Rig, i2v: Command) -> None:
    announced(rig, (0, 0), (1, 1), (2, 2))
    rig.script.endless, rig.script.endless_at = True, 3
    bin = i2v.folder / "players"
    bin.mkdir()
    (bin / "mpv").write_text(
        f"#!{sys.executable}\nimport os, sys\nopen({str(i2v.folder / 'pid')!r}, 'w').write(str(os.getpid()))\n"
        "sys.stdin.buffer.read()\nimport time; time.sleep(600)\n"
    )
    (bin / "mpv").chmod(0o755)
    process = await i2v.start("watch", "7", "--play", PATH=str(bin))
    number = await pid_in(i2v.folder)
    process.send_signal(signal.SIGINT)
    ended = await i2v.end(process)
    assert (ended.code, "goes on" in ended.err) == (130, True)
    with pytest.raises(ProcessLookupError):
        os.kill(number, 0)
