"""Runs a process of the service until SIGTERM or SIGINT, then lets it drain."""

import asyncio
import logging
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, contextmanager
from typing import Any, Protocol, TypeVar

import uvloop

from services import collector_pause
from services.cannot_listen import CannotListenError
from services.file_permissions import restrict_umask
from services.health_port import HealthPort
from services.readiness import Readiness
from services.resource_shortage import shortage
from services.rpc import logs
from services.rpc.redaction import redact
from services.settings import BadSetting, ProcessSettings
from services.tracing.settings import TracingSettings

log = logging.getLogger(__name__)

App = TypeVar("App")
App_co = TypeVar("App_co", covariant=True)
S = TypeVar("S", bound=ProcessSettings)
S_contra = TypeVar("S_contra", bound=ProcessSettings, contravariant=True)


class OpenApp(Protocol[S_contra, App_co]):
    """Starts an app; leaving the block drains and stops it. The app reports to `readiness` what it waits for."""

    def __call__(self, settings: S_contra, /, *, readiness: Readiness) -> AbstractAsyncContextManager[App_co]:
        """Opens the app."""
        ...


def run_process(
    name: str,
    read_settings: Callable[[], S],
    open_app: OpenApp[S, App],
    *,
    service: str = "i2v",
    ended: Callable[[App], Coroutine[Any, Any, object]] | None = None,
    reload: Callable[[App], None] | None = None,
    expected: tuple[type[Exception], ...] = (),
    quiet: Sequence[str] = (),
) -> int:
    """Runs an app on uvloop until the process gets a stop signal. Returns the exit code: 0, or 1 if it cannot run.

    `service` is the process's name in traces; empty: it makes none.

    An unusable setting, an address in use, a shortage of resources and the `expected` errors become one line on stderr.
    `ended` returns when the app can no longer run, or raises why. `reload` is called at SIGHUP, which without it ends
    the process. `quiet` loggers write warnings and errors only.
    """
    restrict_umask()
    plain: tuple[type[Exception], ...] = (BadSetting, CannotListenError, *expected)
    try:
        settings = read_settings()
        logs.setup(settings.log_level, json=settings.log_json)
        for logger in quiet:
            logging.getLogger(logger).setLevel(logging.WARNING)
        readiness = Readiness()
        with traced(TracingSettings.from_environment(), service):
            opening = open_app(settings, readiness=readiness)
            uvloop.run(_until_stopped(opening, settings.health_listen, readiness, ended, reload))
    except plain as error:
        sys.stderr.write(redact(f"{name}: {error}\n"))
        return 1
    except Exception as error:
        if shortage(error) is None:
            raise
        sys.stderr.write(f"{name}: this machine has too few resources for a start: {redact(str(error))}\n")
        return 1
    return 0


@contextmanager
def traced(settings: TracingSettings, service: str) -> Iterator[None]:
    """Makes spans and sends them during the block, if the settings name an endpoint and the process has a name."""
    if not settings.endpoint or not service:
        yield
        return
    # Not before: the library takes time and memory.
    from services.tracing.export import Export

    export = Export(settings, service)
    log.info("tracing", extra={"endpoint": settings.endpoint, "sampler": settings.traces_sampler})
    try:
        yield
    finally:
        export.stop()


async def _listen_for_health(address: str, readiness: Readiness, stack: AsyncExitStack) -> None:
    """Answers health checks until the stack is left. Raises CannotListenError."""
    health = HealthPort(readiness)
    try:
        port = await health.start(address)
    except OSError as error:
        raise CannotListenError(f"cannot listen on {address}: {error.strerror}") from error
    stack.callback(health.stop)
    log.info("answering health checks", extra={"health_port": port})


async def _until_stopped(
    opening: AbstractAsyncContextManager[App],
    health_listen: str,
    readiness: Readiness,
    ended: Callable[[App], Coroutine[Any, Any, object]] | None,
    reload: Callable[[App], None] | None,
) -> None:
    """Opens an app and closes it after a stop signal. Raises the error that ends it earlier, after closing it."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    opened: list[App] = []
    early = asyncio.Event()

    def hang_up() -> None:
        assert reload is not None
        if opened:
            reload(opened[0])
        else:  # a start that is under way may have read the files already
            early.set()

    if reload is not None:  # one handler for good: a call of it may be under way when the start ends
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, hang_up)
    ends: set[asyncio.Task[object]] = {asyncio.create_task(stop.wait())}
    async with AsyncExitStack() as stack:
        if health_listen:
            await _listen_for_health(health_listen, readiness, stack)
        starting = asyncio.create_task(stack.enter_async_context(opening))
        await asyncio.wait({starting, *ends}, return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():  # a start may wait for the database
            starting.cancel()
            await asyncio.wait({starting})
        if starting.cancelled():
            return
        app = starting.result()
        collector_pause.end()
        readiness.start()
        stack.callback(readiness.stop)  # before the app begins to drain
        opened.append(app)
        if reload is not None and early.is_set():
            reload(app)
        if ended is not None:
            ends.add(asyncio.create_task(ended(app)))
        first, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        for end in first:
            end.result()
