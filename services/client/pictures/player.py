"""A local player that shows the video of a job while it is made.

It reads the fragments from a pipe. A URL among its arguments could be read by every user of the machine.
"""

import asyncio
import shutil
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Callable, Mapping
from contextlib import suppress

import click

from services.client.exit_codes import ExitCode

Command = tuple[str, ...]
PLAYERS: Mapping[str, Command] = {
    "ffplay": ("-hide_banner", "-loglevel", "error", "-autoexit", "-i", "pipe:0"),
    "mpv": ("--no-terminal", "-"),
    "vlc": ("--quiet", "--play-and-exit", "-"),
}
"""The players that are looked for, in this order, with their arguments."""
STOPS_WITHIN_S = 3.0


class NoPlayer(click.ClickException):
    """There is no player."""

    exit_code = ExitCode.USAGE


def found() -> Command:
    """Returns the first player that is installed. Raises NoPlayer."""
    for name, arguments in PLAYERS.items():
        if program := shutil.which(name):
            return program, *arguments
    raise NoPlayer(f"There is no player: install one of {', '.join(PLAYERS)}, or use `i2v live`.")


class Player:
    """One process at a time. If a fragment is replaced, another process shows the video from its beginning."""

    def __init__(self, command: Command, *, report: Callable[[str], None], patience_s: float = 60.0) -> None:
        """`patience_s`: seconds, after the last fragment, in which the player ends by itself."""
        self._patience_s = patience_s
        self._command = command
        self._report = report
        self._process: Process | None = None
        self._fragments: list[bytes] = []
        self._given_up = False

    async def fragment(self, index: int, data: bytes) -> None:
        """Passes a fragment to the player."""
        if self._given_up:
            return
        replaces = index < len(self._fragments)
        self._fragments[index:] = [data]
        if replaces:
            await self._stop()
        if self._process is None:
            if not await self._start():
                return
            data = b"".join(self._fragments)
        await self._write(data)

    async def end(self, *, watched: bool) -> None:
        """Waits until the player ends, if the job was watched to its end; stops it otherwise, or if it hangs."""
        process = self._process
        if process is None:
            return
        if process.stdin is not None:
            process.stdin.close()
        try:
            if watched and not self._given_up:
                async with asyncio.timeout(self._patience_s):
                    self._ended(await process.wait())
        except TimeoutError:
            self._report(f"{self._command[0]} does not end, and is stopped.")
        except asyncio.CancelledError:  # Ctrl-C: the job has ended, so it ends the player
            if (task := asyncio.current_task()) is not None:
                task.uncancel()
        finally:
            await self._stop()

    async def _start(self) -> bool:
        try:
            # What it prints may come from the video; a session of its own keeps it off the terminal and Ctrl-C.
            self._process = await asyncio.create_subprocess_exec(
                *self._command, stdin=PIPE, stdout=DEVNULL, stderr=DEVNULL, start_new_session=True
            )
        except OSError as error:
            self._given_up = True
            self._report(f"{self._command[0]} cannot be started: {error.strerror}.")
        return self._process is not None

    async def _write(self, data: bytes) -> None:
        process = self._process
        assert process is not None and process.stdin is not None
        try:
            process.stdin.write(data)
            await process.stdin.drain()  # a paused player may read nothing for long
        except (BrokenPipeError, ConnectionResetError):
            self._given_up = True
            self._ended(await process.wait())

    def _ended(self, code: int) -> None:
        if code:
            self._report(f"{self._command[0]} ended with {code}. The job does not depend on it.")

    async def _stop(self) -> None:
        """Ends the process, by force if it does not end by itself."""
        process, self._process = self._process, None
        if process is None or process.returncode is not None:
            return
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(STOPS_WITHIN_S):
                await process.wait()
        except TimeoutError:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
