"""What a program does not load. Each of these costs megabytes in every process."""

import subprocess
import sys

import pytest

COMMON, APP = "services.orchestrator.__main__", "services.orchestrator.app"
API, WORKER = "services.orchestrator.api_app", "services.orchestrator.worker_app"
BACKENDS, WEBHOOKS = "services.orchestrator.local_backends", "services.orchestrator.webhooks_app"
STORE = "services.orchestrator.store.postgres_store"
IMPORTED = "import sys, {}; print(*[name for name in sys.argv[1:] if name in sys.modules])"


@pytest.mark.parametrize(
    ("program", "without"),
    [
        (
            [COMMON, APP, API],
            ("alembic", "av", "dbos", "httpx", "numpy", "opentelemetry.sdk", "PIL", "tritonclient", WORKER),
        ),
        # Idle. FFmpeg and Pillow come with the first video of a backend of our own; numpy checks that backend.
        ([COMMON, APP, WORKER, BACKENDS], ("alembic", "av", "httpx", "opentelemetry.sdk", "PIL", API)),
        (
            [COMMON, WEBHOOKS],
            ("alembic", "av", "Crypto", "dbos", "grpc", "minio", "numpy", "opentelemetry.sdk", "PIL", APP, STORE),
        ),
        # It decodes where a page asks for pictures.
        (["services.studio.__main__"], ("av", "numpy", "opentelemetry.sdk", "PIL", "sqlalchemy")),
        (["services.providers.__main__"], ("av", "numpy", "opentelemetry.sdk", "PIL", "sqlalchemy", "starlette")),
        (["services.providers.prompt.app"], ("openai", "httpx2", "opentelemetry.sdk")),
    ],
)
def test_a_program_loads_nothing_that_it_does_not_need(program: list[str], without: tuple[str, ...]) -> None:
    command = [sys.executable, "-c", IMPORTED.format(", ".join(program)), *without]
    loaded = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert loaded.stdout.split() == []
