"""Asks the health port of a process, as a kubelet does."""

import asyncio
import http.client
import subprocess
from pathlib import Path


def ask(port: int, path: str) -> tuple[int, str]:
    """The status and the text of an answer. Raises OSError while nothing listens."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode().strip()
    finally:
        connection.close()


async def answers(process: subprocess.Popen[bytes], port: int, path: str, status: int, words: str = "") -> str:
    """Waits until a path is answered with a status and these words; returns the text."""
    last: tuple[int, str] | None = None
    while process.poll() is None:
        try:
            last = await asyncio.to_thread(ask, port, path)
        except OSError:
            last = None
        if last is not None and last[0] == status and words in last[1]:
            return last[1]
        await asyncio.sleep(0.05)
    raise AssertionError(f"the process ended; the last answer was {last}")


def last_line(log: Path) -> str:
    """The last line that a process has written."""
    return log.read_text().splitlines()[-1]
