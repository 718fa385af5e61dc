"""An orchestrator whose metrics can be switched: `python -m tools.switched_orchestrator api`.

SIGUSR1 switches all counting off, and SIGUSR2 on again, so that both are measured in one process.
"""

import signal
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from prometheus_client import Counter, Gauge, Histogram, Summary
from prometheus_client.metrics import MetricWrapperBase

from services import grpc_verbosity  # noqa: F401  before anything that imports gRPC
from services.orchestrator.app import open_app
from services.orchestrator.role import Role
from services.orchestrator.settings import Settings
from services.process import run_process

SWITCHED = (
    (Counter, "inc"),
    (Gauge, "inc"),
    (Gauge, "dec"),
    (Gauge, "set"),
    (Histogram, "observe"),
    (Summary, "observe"),
)


class Switch:
    """Stands for what metrics do. Bound methods that were kept before are switched too."""

    def __init__(self) -> None:
        self.on = True

    def put_in(self) -> None:
        """Replaces the methods of prometheus-client."""
        for kind, name in SWITCHED:
            setattr(kind, name, self._switched(getattr(kind, name), lambda metric: None))
        MetricWrapperBase.labels = self._switched(MetricWrapperBase.labels, lambda metric: metric)  # type: ignore[method-assign]

    def _switched(self, method: Callable[..., Any], instead: Callable[[Any], Any]) -> Callable[..., Any]:
        def switched(metric: Any, *given: Any, **named: Any) -> Any:
            return method(metric, *given, **named) if self.on else instead(metric)

        return switched

    def set(self, on: bool) -> None:
        """Switches."""
        self.on = on


def main(role: str) -> int:
    """Runs until a stop signal. Returns the exit code."""
    switch = Switch()
    switch.put_in()
    signal.signal(signal.SIGUSR1, lambda *_: switch.set(False))
    signal.signal(signal.SIGUSR2, lambda *_: switch.set(True))
    return run_process("i2v", Settings.from_environment, partial(open_app, role=Role(role)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
