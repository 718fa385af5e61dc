"""How a running job is shown: a bar on a terminal, plain lines elsewhere, JSON lines for programs."""

from time import monotonic
from types import TracebackType
from typing import Protocol, Self

import click
from i2v.v1 import job_pb2
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from services.client import show


class Display(Protocol):
    """Shows one job."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def event(self, event: job_pb2.JobEvent) -> None:
        """Shows what happened to the job."""

    def say(self, text: str) -> None:
        """Shows what happened on this side."""


def display(*, json: bool) -> Display:
    """Returns the display that suits stderr."""
    console = Console(stderr=True)
    if json:
        return JsonLines()
    return Bar(console) if console.is_terminal else Lines()


class Lines:
    """One line an event, with the time since the beginning."""

    def __enter__(self) -> Self:
        self._began = monotonic()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leaves the lines."""

    def event(self, event: job_pb2.JobEvent) -> None:
        """See Display."""
        self.say(show.event(event))

    def say(self, text: str) -> None:
        """See Display."""
        click.echo(f"{monotonic() - self._began:7.1f} s  {text}", err=True)


class JsonLines(Lines):
    """Each event as a line on stdout."""

    def event(self, event: job_pb2.JobEvent) -> None:
        """See Display."""
        click.echo(show.as_json(event))


class Bar:
    """A bar that fills, with the stage, the fragments that arrived and the time."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("fragments {task.fields[fragments]}", markup=False),
            TimeElapsedColumn(),
            console=console,
        )
        self._fragments = 0

    def __enter__(self) -> Self:
        self._task = self._progress.add_task("queued", total=1.0, fragments=0)
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def event(self, event: job_pb2.JobEvent) -> None:
        """See Display."""
        match event.WhichOneof("event"):
            case "progressed":
                self._update(event.progressed.stage, event.progressed.progress)
            case "fragment_ready":
                self._fragments = event.fragment_ready.index + 1
                self._update(None, event.fragment_ready.progress)
            case "continued":
                self._update(None, event.continued.progress)
            case "started" if event.started.attempt > 1:
                self._update(f"attempt {event.started.attempt}", 0.0)
            case "succeeded":
                self._update("succeeded", 1.0)
            case "retrying" | "failed" | "cancelled" | "cancel_requested":
                self.say(show.event(event))

    def _update(self, stage: str | None, progress: float) -> None:
        changes = {"description": stage} if stage else {}
        self._progress.update(self._task, completed=progress, fragments=self._fragments, **changes)  # type: ignore[arg-type]

    def say(self, text: str) -> None:
        """See Display."""
        self._progress.console.print(text, markup=False, highlight=False)
