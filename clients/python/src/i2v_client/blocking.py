"""Methods that wait, made of asynchronous ones: those run on an event loop in a thread of its own."""

import asyncio
import concurrent.futures
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from contextlib import suppress
from functools import partial, wraps
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar

Of = TypeVar("Of")
Given = ParamSpec("Given")
Result = TypeVar("Result")
END: Any = object()


class LoopThread:
    """An event loop in a daemon thread. Several threads may run work on it at the same time."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._lock = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._loop.run_forever, name="i2v-client", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Waits for some work, and cancels it if the wait is interrupted. Raises what it raises.

        Raises RuntimeError after the end, and in a function that the client calls, such as `on_outage`: waiting there
        would never end.
        """
        if threading.current_thread() is self._thread:
            work.close()
            raise RuntimeError("a function that the client calls cannot wait for the same client")
        with self._lock:  # what begins before the end is cancelled by it
            if self._closed:
                work.close()
                raise RuntimeError("the client is closed")
            done = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return done.result()
        except BaseException:
            done.cancel()
            raise

    def leave(self, source: "_Source[Any]") -> None:
        """Closes a source of values, unless the end of the loop does."""
        with self._lock:
            if self._closed:
                return
            done = asyncio.run_coroutine_threadsafe(source.close(), self._loop)
        with suppress(concurrent.futures.CancelledError):  # by the end of the loop
            done.result()

    def close(self) -> None:
        """Ends the thread. Work that other threads still wait for is cancelled."""
        with self._lock:
            self._closed = True
        for end in (_end_all(), self._loop.shutdown_asyncgens()):
            asyncio.run_coroutine_threadsafe(end, self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _end_all() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for each in others:
        each.cancel()
    await asyncio.gather(*others, return_exceptions=True)


class Blocking(Generic[Of]):
    """An asynchronous object for programs without an event loop."""

    def __init__(self, asynchronous: Of, loop: LoopThread) -> None:
        self._asynchronous = asynchronous
        self._loop = loop


def blocking(
    method: Callable[Concatenate[Of, Given], Coroutine[Any, Any, Result]],
) -> Callable[Concatenate[Blocking[Of], Given], Result]:
    """Returns a method that waits for the result of an asynchronous one."""

    @wraps(method)
    def call(self: Blocking[Of], /, *given: Given.args, **named: Given.kwargs) -> Result:
        return self._loop.run(method(self._asynchronous, *given, **named))

    return call


def iterating(
    method: Callable[Concatenate[Of, Given], AsyncGenerator[Result, None]],
) -> Callable[Concatenate[Blocking[Of], Given], Iterator[Result]]:
    """Returns a method that yields what an asynchronous one yields."""

    @wraps(method)
    def call(self: Blocking[Of], /, *given: Given.args, **named: Given.kwargs) -> Iterator[Result]:
        source = self._loop.run(_begun(partial(method, self._asynchronous, *given, **named)))
        try:
            while (found := self._loop.run(source.next())) is not END:
                yield found
        finally:
            self._loop.leave(source)

    return call


class _Source(Generic[Result]):
    """An asynchronous generator, and the task that waits for its next value."""

    def __init__(self, values: AsyncGenerator[Result, None]) -> None:
        self._values = values
        self._waiting: asyncio.Task[Any] | None = None

    async def next(self) -> Result:
        self._waiting = asyncio.current_task()
        return await anext(self._values, END)

    async def close(self) -> None:
        # An interrupt may come before the thread that waits could cancel this.
        if self._waiting is not None and not self._waiting.done():
            self._waiting.cancel()
            await asyncio.wait({self._waiting})
        await self._values.aclose()


async def _begun(begin: Callable[[], AsyncGenerator[Result, None]]) -> _Source[Result]:
    return _Source(begin())  # on the loop, which calls of gRPC belong to
