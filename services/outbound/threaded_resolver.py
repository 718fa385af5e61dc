"""Looks up host names in threads of its own, so that names which no server answers do not hold up other work."""

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor


class ThreadedResolver:
    """A look-up keeps its thread until the system gives up, also when no one waits for it any more."""

    def __init__(self, threads: int) -> None:
        """`threads` is how many look-ups run at a time; they are started when they are needed."""
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="resolver")

    async def resolve(self, host: str, port: int) -> list[str]:
        """Returns the addresses of a name, for connections to a port. Raises OSError, or RuntimeError."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, _addresses, host, port)

    def close(self) -> None:
        """Begins no more look-ups."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _addresses(host: str, port: int) -> list[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    return [str(each[4][0]) for each in found]
