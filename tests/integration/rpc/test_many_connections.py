"""More callers than the usual limit on open files of a process."""

import resource
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from i2v_client import AsyncClient
from tests.support.programs import program
from tests.support.raw_http2 import RawCaller
from tests.support.served_orchestrator import GOLDEN

USUAL, CALLERS = 256, 300


@pytest.fixture
def usual_limit() -> Iterator[None]:
    """A low limit that a process may raise, as on most systems."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (USUAL, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_an_api_answers_more_connections_than_the_usual_limit(
    database: str, tmp_path: Path, usual_limit: None
) -> None:
    settings = {
        "I2V_DATABASE_URL": database,
        "I2V_DATA": str(tmp_path),
        "I2V_TRITON": "",
        "I2V_MODELS_FILE": str(GOLDEN / "models.toml"),
        "I2V_DEV_KEY_FILE": str(tmp_path / "dev-key"),
    }
    async with program("services.orchestrator", "api", log=tmp_path / "log", prefix="I2V_", **settings) as running:
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))  # this process holds as many
        with ExitStack() as stack:
            for _ in range(CALLERS):
                caller = RawCaller(int(running.address.rpartition(":")[2]))
                stack.callback(caller.close)
            async with AsyncClient(running.address, (tmp_path / "dev-key").read_text().strip()) as i2v:
                assert await i2v.models()
        assert await running.stop() == 0
