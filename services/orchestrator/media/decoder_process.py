"""The child process that opens hostile files: `python -m services.orchestrator.media.decoder_process <kind> <seconds>`.

Its steps: load everything, give up memory, files and network, then answer one request at a time. A request brings
the open files and no names, and for some kinds a small JSON object; an answer is a small JSON object. It holds no
secret: its environment is empty, its only ways out are the two files and the socket it was given.
"""

import contextlib
import ctypes
import errno
import json
import os
import resource
import select
import signal
import socket
import sys
from collections.abc import Callable
from typing import Any, BinaryIO

from services.orchestrator.media.picture_header import Refused

MEMORY_LIMIT_BYTES = 1 << 30
OUTPUT_LIMIT_BYTES = 256 << 20
FILES_PER_REQUEST = 2
NICENESS = 10
"""Nice value of a child process: decoding may take longer, but must not delay the process that answers calls."""

IDLE_S = 2.0
"""Seconds without a file after which the memory of the last ones is given back."""

REQUEST_BYTES = 1 << 17
"""The most that a request has in addition to its files."""


class Parent:
    """The process that sent a request, as the work sees it."""

    def __init__(self, channel: socket.socket, request: bytes) -> None:
        self._channel = channel
        self.question: dict[str, Any] = json.loads(request) if request else {}
        """What the request says in addition to its files."""

    def ask(self, data: bytes) -> bytes:
        """Sends bytes to the parent in the middle of the work, and returns its answer."""
        self._channel.send(json.dumps({"asks": data.hex()}).encode())
        return self._channel.recv(REQUEST_BYTES)


Finish = Callable[[], dict[str, object]]
Work = Callable[[BinaryIO, BinaryIO, Parent], Finish]


def main(kind: str, limit_s: float) -> None:
    """Serves requests until the other end of the socket on standard input is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is for the parent, who may want its pictures finished
    channel = socket.socket(fileno=0)
    work = _load(kind)  # a failure here is ours and goes to the parent's standard error
    give_back_memory = ctypes.CDLL(None).malloc_trim
    _confine()
    channel.send(b"ready")
    while True:
        if not select.select([channel], [], [], IDLE_S)[0]:
            give_back_memory(0)
        message, files, _, _ = socket.recv_fds(channel, REQUEST_BYTES, FILES_PER_REQUEST)
        if not message:
            return
        # Processor time: a good file needs no more of it on a loaded machine. SIGPROF kills, even inside C code.
        signal.setitimer(signal.ITIMER_PROF, limit_s)
        answer = _answered(work, files, Parent(channel, message.removeprefix(b"go")))
        signal.setitimer(signal.ITIMER_PROF, 0)
        channel.send(json.dumps(answer).encode())
        if "memory" in answer:
            return  # a new process starts with a whole heap


def _load(kind: str) -> Work:
    if kind == "pictures":
        from services.orchestrator.media import picture_cleaning

        picture_cleaning.warm()
        return _unasked(picture_cleaning.clean)
    if kind == "sounds":
        from services.orchestrator.media import sound_measure

        sound_measure.warm()
        return _unasked(sound_measure.measure)
    if kind in ("credentials", "signatures"):
        from services.orchestrator.media import credentials_reading, credentials_signing

        credentials_signing.warm()
        return credentials_reading.read if kind == "credentials" else credentials_signing.sign
    if kind == "renditions":
        from services.orchestrator.media import rendition_process

        rendition_process.warm()
        return rendition_process.make
    if kind == "marks":
        from services.orchestrator.media import pixel_mark_search

        pixel_mark_search.warm()
        return _unasked(pixel_mark_search.search)
    if kind == "encodings":
        from services.orchestrator.media import video_marking

        video_marking.warm()
        return _unasked(video_marking.mark_video)
    from services.orchestrator.media import video_measure

    video_measure.warm()
    if kind == "repacks":
        from services.orchestrator.media import remux

        return _unasked(remux.remux)
    return _unasked(video_measure.measure if kind == "videos" else video_measure.measure_any)


def _unasked(work: Callable[[BinaryIO, BinaryIO], Finish]) -> Work:
    return lambda source, target, _: work(source, target)


def _confine() -> None:
    """Gives up what decoding does not need.

    The files of a request fill every free descriptor, so no other file or connection can be opened.
    """
    os.nice(NICENESS)
    with open(os.devnull, "wb") as null:
        os.dup2(null.fileno(), 2)  # messages of libraries about hostile files are of no use
    limits = {
        resource.RLIMIT_AS: MEMORY_LIMIT_BYTES,
        resource.RLIMIT_FSIZE: OUTPUT_LIMIT_BYTES,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_NOFILE: _open_files() + FILES_PER_REQUEST,
    }
    for which, limit in limits.items():
        resource.setrlimit(which, (limit, limit))


def _open_files() -> int:
    highest = -1
    for number in range(64):
        with contextlib.suppress(OSError):
            os.fstat(number)
            highest = number
    return highest + 1


def _answered(work: Work, files: list[int], parent: Parent) -> dict[str, object]:
    answer: dict[str, object] = {}
    try:
        with open(files[0], "rb") as source, open(files[1], "w+b") as target:
            answer = _answer(work, source, target, parent)
            target.flush()
            # The disk begins to write now, so that the parent's sync takes less time. Nothing waits for it here.
            os.posix_fadvise(target.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    except OSError as error:  # from the last bytes, which are written when the file is closed
        if not answer:
            raise
        return {"unwritten": error.errno or errno.EIO}
    return answer


def _answer(work: Work, source: BinaryIO, target: BinaryIO, parent: Parent) -> dict[str, object]:
    try:
        finish = work(source, target, parent)
    except Refused as refused:
        return {"reason": refused.reason, "description": refused.description}
    except MemoryError:
        return {"memory": MEMORY_LIMIT_BYTES}
    except Exception as error:  # decoders raise anything on broken data; this is where that ends
        if isinstance(error, ImportError) or (isinstance(error, OSError) and error.errno == errno.EMFILE):
            raise  # not the file's fault: `warm` has left something out
        return {"broken": True}
    try:
        return finish()
    except MemoryError:
        return {"memory": MEMORY_LIMIT_BYTES}
    except OSError as error:
        return {"unwritten": error.errno or errno.EIO}


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
