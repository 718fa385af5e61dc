"""A secret in a file, which is read again when it has changed: a new one holds without a restart."""

import logging
import os
import threading

from services.settings import BadSetting, read_key

log = logging.getLogger(__name__)


class LiveSecret:
    """A secret. Threads may share it. Its text never appears in logs or in `repr`."""

    def __init__(self, variable: str, file: str = "", value: str = "") -> None:
        """`variable` names the file; without one, the secret is `value` and never changes. Raises BadSetting."""
        self._variable, self._file = variable, file
        self._lock = threading.Lock()
        self._seen = self._state()
        self._value = read_key(variable, file) if file else value

    def text(self) -> str:
        """Returns the newest secret that could be read; empty: there is none. A file that cannot be read is logged."""
        with self._lock:
            if (state := self._state()) != self._seen:
                self._seen = state
                self._renew()
            return self._value

    def _renew(self) -> None:
        try:
            found = read_key(self._variable, self._file)
        except BadSetting as error:
            log.error("a new secret cannot be used; the one before it stays", extra={"cause": str(error)})
            return
        if found != self._value:
            self._value = found
            log.info("a new secret is used", extra={"variable": self._variable})

    def _state(self) -> tuple[int, int, int] | None:
        try:
            found = os.stat(self._file) if self._file else None
        except OSError:
            return None
        return (found.st_mtime_ns, found.st_ino, found.st_size) if found is not None else None
