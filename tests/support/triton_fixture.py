"""One real Triton for the whole session, on the models that `make models` built."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tools.tritonserver import TritonServer

REPOSITORY = Path(__file__).resolve().parents[2] / "model_repository"


@pytest.fixture(scope="session")
def triton(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TritonServer]:
    """Ready, on free ports: `grpc_address`, `http_address`, `metrics_address`."""
    with TritonServer(REPOSITORY, state=tmp_path_factory.mktemp("triton")) as server:
        yield server
