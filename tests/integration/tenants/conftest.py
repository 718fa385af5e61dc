"""An orchestrator whose first operator has the key `the-first-operator`."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import grpc
import pytest
from i2v.admin.v1 import (
    audit_pb2_grpc,
    backend_pb2_grpc,
    credit_pb2_grpc,
    job_pb2_grpc,
    key_pb2,
    key_pb2_grpc,
    limit_pb2_grpc,
    operator_pb2_grpc,
    tenant_pb2_grpc,
)

from services.rpc.status_codes import from_call
from tests.support.builders import ScriptedBackend
from tests.support.served_orchestrator import Served, served

FIRST_OPERATOR = "the-first-operator"
WITHIN_S = 5.0


class Admin:
    """The stubs of the administration, for the holder of one key."""

    def __init__(self, channel: grpc.aio.Channel, key: str = FIRST_OPERATOR) -> None:
        self.channel = channel
        self.key = key
        stubs: tuple[Any, ...] = (
            tenant_pb2_grpc.TenantServiceStub(channel),
            key_pb2_grpc.KeyServiceStub(channel),
            limit_pb2_grpc.LimitServiceStub(channel),
            credit_pb2_grpc.CreditServiceStub(channel),
            operator_pb2_grpc.OperatorServiceStub(channel),
            audit_pb2_grpc.AuditServiceStub(channel),
            backend_pb2_grpc.BackendServiceStub(channel),
            job_pb2_grpc.AdminJobServiceStub(channel),
        )
        self.methods = {name: method for stub in stubs for name, method in vars(stub).items()}

    def of(self, key: str) -> "Admin":
        return Admin(self.channel, key)

    def __getattr__(self, method: str) -> Callable[[Any], Coroutine[Any, Any, Any]]:
        async def call(request: Any) -> Any:
            return await self.methods[method](request, metadata=(("authorization", f"Bearer {self.key}"),))

        return call

    async def new_key(self, *scopes: int, tenant: str = "studio", **fields: Any) -> key_pb2.CreateKeyResponse:
        request = key_pb2.CreateKeyRequest(
            tenant=f"tenants/{tenant}", display_name="web", scopes=scopes, reason="a test", **fields
        )
        made: key_pb2.CreateKeyResponse = await self.CreateKey(request)
        return made


async def refusal(call: Any) -> tuple[str, str]:
    """Returns the code and the reason of a refused call; of a malformed field its own reason."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    failure = from_call(caught.value)
    return failure.code.name, failure.violations[0].reason if failure.violations else failure.reason


async def becomes(expected: tuple[str, str], call: Callable[[], Any]) -> None:
    """Repeats a call until it is refused with this code and reason. A change must hold within five seconds."""
    async with asyncio.timeout(WITHIN_S):
        while True:
            try:
                await call()
            except grpc.aio.AioRpcError as error:
                failure = from_call(error)
                if (failure.code.name, failure.reason) == expected:
                    return
            await asyncio.sleep(0)


@pytest.fixture
def backend() -> ScriptedBackend:
    return ScriptedBackend()


@pytest.fixture
async def i2v(database: str, tmp_path: Path, backend: ScriptedBackend) -> AsyncIterator[Served]:
    key = tmp_path / "operator-key"
    key.write_text(FIRST_OPERATOR)

    def change(values: dict[str, Any]) -> None:
        values |= {"operator_key_file": str(key)}

    async with served(database, tmp_path, {"test": (backend, 1)}, change=change) as running:
        yield running


@pytest.fixture
def admin(i2v: Served) -> Admin:
    return Admin(i2v.channel)
