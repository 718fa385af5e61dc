"""How far an export or an import is: a bar on a terminal, and lines for what is notable."""

from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from services.client.terminal import say, visible


class TransferBar:
    """Counts assets. To be used as `with`."""

    def __init__(self, what: str) -> None:
        console = Console(stderr=True)
        shown = console.is_terminal and not console.is_dumb_terminal
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
            disable=not shown,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._shown = shown
        self._task = self._progress.add_task(what, total=None)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *of_error: object) -> None:
        self._progress.stop()

    def expect(self, assets: int) -> None:
        """So many more assets will come."""
        total = self._progress.tasks[0].total or 0
        self._progress.update(self._task, total=total + assets)

    def done(self) -> None:
        """One more asset is done."""
        self._progress.advance(self._task)

    def say(self, text: str) -> None:
        """Prints a line to stderr, above the bar."""
        if self._shown:
            self._progress.console.print(visible(text), markup=False, highlight=False, emoji=False, soft_wrap=True)
        else:
            say(text, err=True)
