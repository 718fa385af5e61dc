"""The processes of a Triton: its server, and one for each Python model."""

from collections.abc import Collection
from pathlib import Path


class ModelProcesses:
    """The processes of one server, recognised by the prefix of its shared memory in their command lines."""

    def __init__(self, shm_prefix: str) -> None:
        self._shm_prefix = shm_prefix
        self._server = 0
        self._models: dict[int, str] = {}

    def find(self, *, except_models: Collection[str]) -> None:
        """Records the server's process and those of its Python models, once they are ready."""
        self._models = {}
        for pid in (int(folder.name) for folder in Path("/proc").glob("[0-9]*")):
            match self._argv(pid):
                case [_, file, region, _, _, server, *_] if region.startswith(self._shm_prefix):
                    self._server = int(server)
                    if (model := Path(file).parent.parent.name) not in except_models:
                        self._models[pid] = model

    def dead_models(self) -> list[str]:
        """Returns the models whose process has ended while the server runs."""
        dead = {model for pid, model in self._models.items() if not self._argv(pid)}
        # The server is checked last: its end ends every model.
        return sorted(dead) if self._argv(self._server) else []

    def _argv(self, pid: int) -> list[str]:
        """Returns the command line of one of the server's processes; nothing if it is not one, or has ended."""
        try:
            line = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
        except OSError:
            return []
        return line.split("\0") if self._shm_prefix in line else []
