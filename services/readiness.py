"""Whether a process can do its work now, and if not, why."""


class Readiness:
    """What a process knows about itself. It begins as starting, then has started, and at the end stops."""

    def __init__(self) -> None:
        self._obstacles: dict[str, str] = {}
        self._started = False
        self._stopping = False

    def report(self, condition: str, obstacle: str) -> None:
        """Says what keeps one condition of the work unfulfilled; empty: it is fulfilled."""
        self._obstacles[condition] = obstacle

    def start(self) -> None:
        """Says that the start is done."""
        self._started = True

    def stop(self) -> None:
        """Says that the process takes no more work, until its end."""
        self._stopping = True

    @property
    def obstacle(self) -> str:
        """Why the process is not ready; empty if it is."""
        if self._stopping:
            return "it is stopping"
        obstacles = [f"{condition}: {why}" for condition, why in self._obstacles.items() if why]
        if obstacles:
            return "; ".join(obstacles)
        return "" if self._started else "it is starting"

    @property
    def begun(self) -> bool:
        """Whether the start is done, or waits for another process: then a restart would not help."""
        return self._started or self._stopping or any(self._obstacles.values())
