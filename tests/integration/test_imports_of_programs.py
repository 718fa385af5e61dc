"""What a program does not load. Each of these costs megabytes in every process."""

import subprocess
import sys

import pytest

COMMON = "services.orchestrator.__main__"
API, WORKER = "services.orchestrator.api_app", "services.orchestrator.worker_app"
WEBHOOKS = "services.orchestrator.webhooks_app"
IMPORTED = "import sys, {}; print(*[name for name in sys.argv[1:] if name in sys.modules])"


@pytest.mark.parametrize(
    ("program", "without"),
    [
        (
            [COMMON, API],
            ("alembic", "av", "dbos", "httpx", "numpy", "opentelemetry.sdk", "PIL", "tritonclient", WORKER),
        ),
        ([COMMON, WORKER], ("alembic", "httpx", "opentelemetry.sdk", API)),
        (
            [COMMON, WEBHOOKS],
            ("alembic", "av", "dbos", "numpy", "opentelemetry.sdk", "PIL", "tritonclient", API, WORKER),
        ),
        (["services.providers.prompt.app"], ("openai", "httpx2", "opentelemetry.sdk")),
    ],
)
def test_a_program_loads_nothing_that_it_does_not_need(program: list[str], without: tuple[str, ...]) -> None:
    command = [sys.executable, "-c", IMPORTED.format(", ".join(program)), *without]
    loaded = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert loaded.stdout.split() == []
