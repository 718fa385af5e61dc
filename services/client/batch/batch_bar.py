"""How far a batch is: a bar with rate and time left on a terminal, and lines for what is notable."""

from time import monotonic
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from services.client.terminal import say, visible

LINE_EVERY_S = 10.0
"""Without a terminal, the state is a line at most so often."""


class BatchBar:
    """Counts videos. To be used as `with`."""

    def __init__(self, total: int) -> None:
        console = Console(stderr=True)
        self._shown = console.is_terminal and not console.is_dumb_terminal
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}", markup=False),
            TimeRemainingColumn(),
            console=console,
            disable=not self._shown,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._task = self._progress.add_task("videos", total=total, rate="")
        self._total, self._done = total, 0

    def __enter__(self) -> Self:
        self._began = self._said = monotonic()
        self._progress.start()
        return self

    def __exit__(self, *of_error: object) -> None:
        self._progress.stop()

    def done(self) -> None:
        """One more video is made, or is not to be had."""
        self._done += 1
        passed = max(monotonic() - self._began, 0.001)
        rate = f"{self._done / passed * 60:.1f}/min"
        self._progress.update(self._task, completed=self._done, rate=rate)
        if not self._shown and monotonic() - self._said >= LINE_EVERY_S:
            self._said = monotonic()
            left_s = (self._total - self._done) * passed / self._done
            say(f"{self._done} of {self._total} videos, {rate}, about {left_s:.0f} s left", err=True)

    def say(self, text: str) -> None:
        """Prints a line to stderr, above the bar."""
        if self._shown:
            self._progress.console.print(visible(text), markup=False, highlight=False, emoji=False, soft_wrap=True)
        else:
            say(text, err=True)
