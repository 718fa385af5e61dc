"""A separate thread for calls that may never return, such as opening a pipe that no other process has open."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import TypeVar

Result = TypeVar("Result")


def in_daemon_thread(function: Callable[..., Result], *arguments: object) -> Awaitable[Result]:
    """Calls the function in a daemon thread: unlike asyncio's threads, it does not delay the end of the program."""
    done: Future[Result] = Future()
    done.set_running_or_notify_cancel()

    def run() -> None:
        try:
            done.set_result(function(*arguments))
        except BaseException as error:
            done.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return asyncio.wrap_future(done)
