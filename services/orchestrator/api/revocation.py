"""Makes changes of tenants, keys and operators hold in this process: also for calls that are open."""

import asyncio
import logging

from services.errors import ServiceError, Unavailable
from services.orchestrator.api.authentication import Authentication
from services.orchestrator.api.credential import (
    LiveUrlCredential,
    OperatorCredential,
    ShareCredential,
    SignedUrlCredential,
    TenantCredential,
)
from services.orchestrator.ports.credentials import Credentials
from services.rpc.admitted_calls import OpenStream
from services.rpc.server import RpcServer

LOOK_S = 1.0
"""Seconds between two looks at open streams. With the four of the cache, a revocation holds within five."""
USES_S = 60.0
"""Seconds between two writes of when keys were last used."""

log = logging.getLogger(__name__)


async def enforce(authentication: Authentication, credentials: Credentials, server: RpcServer) -> None:
    """Forgets cached records when something changes, and ends streams whose callers may not go on."""
    async with credentials.changes() as signal:
        while True:
            if await signal.wait(LOOK_S):
                authentication.forget()
            try:
                await _end_refused(authentication, server)
            except Unavailable:
                log.debug("the database is away; open streams go on until it is back")


async def forget_ended_sessions(authentication: Authentication, credentials: Credentials) -> None:
    """Forgets cached sessions when one may have ended. `enforce` ends their streams."""
    async with credentials.ended_sessions() as signal:
        while True:
            if await signal.wait(LOOK_S):
                authentication.forget_sessions()


async def _end_refused(authentication: Authentication, server: RpcServer) -> None:
    """Ends the open streams whose callers may not go on. Raises Unavailable.

    A stream that cannot be checked keeps no other from being ended; the last such error is raised at the end.
    """
    known: dict[tuple[str, str], ServiceError | None] = {}
    unexpected: Exception | None = None
    for stream in server.open_streams():
        try:
            refusal = await _refusal(authentication, stream, known)
        except Unavailable:
            raise
        except Exception as error:
            unexpected = error
            continue
        if refusal is not None:
            server.end_stream(stream, refusal)
    if unexpected is not None:
        raise unexpected


async def _refusal(
    authentication: Authentication, stream: OpenStream, known: dict[tuple[str, str], ServiceError | None]
) -> ServiceError | None:
    """Returns why a stream must end; `known` has the answers for streams of the same caller. Raises Unavailable."""
    credential = stream.caller.credential
    assert isinstance(
        credential, TenantCredential | OperatorCredential | SignedUrlCredential | LiveUrlCredential | ShareCredential
    )
    asked = stream.method, credential.identity
    if asked not in known:
        known[asked] = await authentication.refusal(stream.method, stream.caller)
    return known[asked]


async def write_uses(authentication: Authentication, credentials: Credentials, every_s: float = USES_S) -> None:
    """Stores when keys were last used."""
    while True:
        await asyncio.sleep(every_s)
        uses = authentication.take_uses()
        if not uses:
            continue
        try:
            await credentials.used(uses)
        except Unavailable:
            log.debug("the last uses of keys could not be stored; later ones will be")
