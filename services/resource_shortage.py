"""Distinguishes a shortage of our own resources from a fault.

A full disk or a lack of memory, file descriptors or threads is temporary: a retry succeeds later, and no caller is at
fault. Code simply raises such errors; only the end of a call and the end of an attempt ask this module what they are.
"""

import errno
import os

from services.errors import Unavailable
from services.reasons import ServiceReason

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_BROKEN = {errno.EROFS, errno.EIO}
_FEW = {errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ENOBUFS}
_NO_THREAD = "can't start new thread"
"""Python's message; the error is a plain RuntimeError."""
REASONS = frozenset({ServiceReason.DISK_FULL, ServiceReason.DISK_UNAVAILABLE, ServiceReason.RESOURCES_EXHAUSTED})
RETRY_S = 5.0
"""A retry delay in seconds; an operator does not free a disk faster."""


def shortage(error: BaseException | None) -> Unavailable | None:
    """Returns Unavailable if an error, or one of its causes, is a shortage of our own resources; otherwise None."""
    if isinstance(error, BlockingIOError):  # fork() failed; as a cause of another error it means nothing
        return _exhausted(os.strerror(errno.EAGAIN))
    while error is not None:
        if (found := _shortage(error)) is not None:
            return found
        if isinstance(error, BaseExceptionGroup):
            found_all = [shortage(each) for each in error.exceptions]
            return found_all[0] if None not in found_all else None
        error = error.__cause__ or error.__context__  # libraries wrap causes: httpx that of a failed connection
    return None


def _shortage(error: BaseException) -> Unavailable | None:
    if isinstance(error, OSError) and error.errno is not None:
        what = os.strerror(error.errno)
        if error.errno in _FULL:
            message = f"The service has no space on its disk: {what}. Try again later."
            return Unavailable(message, reason=ServiceReason.DISK_FULL, retry_after_s=RETRY_S)
        if error.errno in _BROKEN:
            message = f"The service cannot write to its disk: {what}. Try again later."
            return Unavailable(message, reason=ServiceReason.DISK_UNAVAILABLE, retry_after_s=RETRY_S)
        if error.errno in _FEW:
            return _exhausted(what)
    if isinstance(error, MemoryError):
        return _exhausted("out of memory")
    if isinstance(error, RuntimeError) and str(error) == _NO_THREAD:
        return _exhausted("no thread could be started")
    return None


def _exhausted(what: str) -> Unavailable:
    message = f"The service lacks resources: {what}. Try again later."
    return Unavailable(message, reason=ServiceReason.RESOURCES_EXHAUSTED, retry_after_s=RETRY_S)
