"""A shortage on the machine is distinguished from a fault of ours, with errors that the system really raises."""

import errno
import os
from pathlib import Path

import pytest

from services.resource_shortage import shortage


def raised_by(work: object) -> BaseException:
    try:
        work()  # type: ignore[operator]
    except (Exception, ExceptionGroup) as error:
        return error
    raise AssertionError("nothing was raised")


def a_full_disk() -> None:
    Path("/dev/full").write_bytes(b"a byte")


def no_memory() -> None:
    bytearray(1 << 62)


def caused() -> None:
    try:
        a_full_disk()
    except OSError as error:
        raise ValueError("a library's own word for it") from error


def hidden() -> None:
    try:
        a_full_disk()
    except OSError:
        raise ValueError("a library's own word for it") from None


def several() -> None:
    raise ExceptionGroup("tasks", [raised_by(a_full_disk), raised_by(no_memory)])


def no_thread() -> None:
    raise RuntimeError("can't start new thread")


@pytest.mark.parametrize(
    ("work", "reason"),
    [
        (a_full_disk, "DISK_FULL"),
        (no_memory, "RESOURCES_EXHAUSTED"),
        (caused, "DISK_FULL"),
        (hidden, "DISK_FULL"),
        (several, "DISK_FULL"),
        (no_thread, "RESOURCES_EXHAUSTED"),
    ],
)
def test_a_shortage_of_resources_is_unavailable(work: object, reason: str) -> None:
    lacking = shortage(raised_by(work))
    assert lacking is not None
    assert (lacking.reason, lacking.retry_after_s > 1) == (reason, True)


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (errno.ENOSPC, "DISK_FULL"),
        (errno.EDQUOT, "DISK_FULL"),
        (errno.EFBIG, "DISK_FULL"),
        (errno.EROFS, "DISK_UNAVAILABLE"),
        (errno.EIO, "DISK_UNAVAILABLE"),
        (errno.ENOMEM, "RESOURCES_EXHAUSTED"),
        (errno.EMFILE, "RESOURCES_EXHAUSTED"),
        (errno.ENFILE, "RESOURCES_EXHAUSTED"),
        (errno.EAGAIN, "RESOURCES_EXHAUSTED"),
    ],
)
def test_every_error_of_the_kind_is_known(number: int, reason: str) -> None:
    lacking = shortage(OSError(number, os.strerror(number)))
    assert lacking is not None
    assert lacking.reason == reason


@pytest.mark.parametrize(
    "error",
    [
        None,
        ValueError("a bug"),
        RuntimeError("another"),
        FileNotFoundError(errno.ENOENT, "no such file"),
        PermissionError(errno.EACCES, "not allowed"),
        OSError("without a number"),
        ExceptionGroup("tasks", [ValueError("a bug"), MemoryError()]),
    ],
)
def test_a_programming_error_is_not_a_shortage(error: BaseException | None) -> None:
    assert shortage(error) is None
