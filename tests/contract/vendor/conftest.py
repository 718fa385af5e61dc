"""What the suite of vendors shares: each vendor, and its provider with the vendor's simulator behind it."""

import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from services.providers.vendors import VENDORS
from tests.support.provider_and_simulator import Provided, provided


@pytest.fixture(params=sorted(VENDORS))
def vendor(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest_asyncio.fixture
async def rig(vendor: str, tmp_path: Path) -> AsyncIterator[Provided]:
    async with provided(vendor, tmp_path) as made:
        yield made


@pytest_asyncio.fixture
async def hasty(vendor: str, tmp_path: Path) -> AsyncIterator[Provided]:
    """A provider that soon accepts a vendor's answer that a task does not exist."""
    async with provided(vendor, tmp_path, missing_s=0.1) as made:
        yield made


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port without a listener, which no other process can take meanwhile."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]
