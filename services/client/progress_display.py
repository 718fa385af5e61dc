"""Displays of a running job: a bar on a terminal, plain lines elsewhere, JSON lines for programs."""

from time import monotonic
from types import TracebackType
from typing import Protocol, Self

from i2v.v1 import job_pb2
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from services.client import formatting
from services.client.event_descriptions import describe
from services.client.terminal import say, visible


class Display(Protocol):
    """Shows one job."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def event(self, event: job_pb2.JobEvent) -> None:
        """Shows an event of the job."""

    def heartbeat(self, heartbeat: job_pb2.Heartbeat) -> None:
        """Shows the place and the expected start of a job that waits."""

    def say(self, text: str) -> None:
        """Shows a message of the client."""

    def say_warnings(self) -> None:
        """Repeats the warnings, after all other output."""


def display(*, json: bool) -> Display:
    """Returns the display that suits stderr."""
    console = Console(stderr=True)
    if json:
        return JsonLines()
    return Bar(console) if console.is_terminal and not console.is_dumb_terminal else Lines()


class Lines:
    """One line an event, with the time since the beginning."""

    def __init__(self) -> None:
        self._warnings: list[str] = []
        self._waits = ""

    def __enter__(self) -> Self:
        self._began = monotonic()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leaves the lines."""

    def event(self, event: job_pb2.JobEvent) -> None:
        """Prints the event on a line, and keeps its warning."""
        described = describe(event)
        self.say(described.text)
        if described.warning:
            self._warnings.append(described.warning)

    def heartbeat(self, heartbeat: job_pb2.Heartbeat) -> None:
        """Prints the place and the expected start if they have changed."""
        if heartbeat.queue_place and (waits := formatting.wait(heartbeat)) != self._waits:
            self._waits = waits
            self._show_wait(waits)

    def _show_wait(self, waits: str) -> None:
        self.say(waits)

    def say(self, text: str) -> None:
        """Prints the text with the seconds since the start."""
        say(f"{monotonic() - self._began:7.1f} s  {text}", err=True)

    def say_warnings(self) -> None:
        """Prints the warnings that were kept."""
        say(*map(formatting.warning, self._warnings), err=True)


class JsonLines(Lines):
    """Each event as a line on stdout, including warnings."""

    def event(self, event: job_pb2.JobEvent) -> None:
        """Prints the event as JSON."""
        say(formatting.as_json(event))

    def heartbeat(self, heartbeat: job_pb2.Heartbeat) -> None:
        """Prints nothing: the lines are events."""


class Bar(Lines):
    """A progress bar with the stage, the number of fragments and the time; notable events are lines above it."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("fragments {task.fields[fragments]}", markup=False),
            TimeElapsedColumn(),
            console=console,
            redirect_stdout=False,  # stdout is for results, which are printed after the bar
            redirect_stderr=False,
        )
        self._fragments = 0
        self._times_printed = False

    def __enter__(self) -> Self:
        self._task = self._progress.add_task("queued", total=1.0, fragments=0)
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def event(self, event: job_pb2.JobEvent) -> None:
        """Moves the bar; prints a notable event above it."""
        described = describe(event)
        if described.notable:
            self.say(described.text)
        if described.warning:
            self._warnings.append(described.warning)
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

    def _show_wait(self, waits: str) -> None:
        """Shows the place in the bar, and prints the expected times once: they do not fit into it."""
        place, comma, _ = waits.partition(",")
        if comma and not self._times_printed:
            self._times_printed = True
            self.say(waits)
        self._update(place, 0.0)

    def _update(self, stage: str | None, progress: float) -> None:
        changes = {"description": visible(stage)} if stage else {}
        self._progress.update(self._task, completed=progress, fragments=self._fragments, **changes)  # type: ignore[arg-type]

    def say(self, text: str) -> None:
        """Prints the text above the bar."""
        self._progress.console.print(visible(text), markup=False, highlight=False, emoji=False, soft_wrap=True)
