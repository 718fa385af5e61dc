"""What a role of the orchestrator does not load. Each of these costs megabytes in every process."""

import subprocess
import sys

import pytest

COMMON = "services.orchestrator.__main__"
API, WORKER = "services.orchestrator.api_app", "services.orchestrator.worker_app"
IMPORTED = "import sys, {}, {}; print(*[name for name in sys.argv[1:] if name in sys.modules])"


@pytest.mark.parametrize(
    ("role", "without"),
    [
        (API, ("alembic", "av", "dbos", "httpx", "numpy", "opentelemetry.sdk", "PIL", "tritonclient", WORKER)),
        (WORKER, ("alembic", "httpx", "opentelemetry.sdk", API)),
    ],
)
def test_a_role_loads_nothing_that_it_does_not_need(role: str, without: tuple[str, ...]) -> None:
    command = [sys.executable, "-c", IMPORTED.format(COMMON, role), *without]
    loaded = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert loaded.stdout.split() == []
