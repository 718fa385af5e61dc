"""Metrics of the servers behind a backend."""

from typing import Protocol


class ServerMeter(Protocol):
    """Measures servers. Raises nothing."""

    def listed(self, backend: str, servers: int) -> None:
        """So many servers are known of a backend."""

    def server(self, backend: str, server: str, *, ready: bool, slots: int, jobs: int) -> None:
        """A server could take a job or not; it has so many slots, and runs so many jobs of this process."""

    def server_gone(self, backend: str, server: str) -> None:
        """A server is no longer one of the backend's."""
