"""SessionCalls: the RPCs of sessions. A key or a ticket goes to the API, and is kept nowhere."""

from typing import Any

import grpc
from i2v.v1 import session_pb2, session_pb2_grpc

from services.rpc.status_codes import from_call
from services.studio.api_error import ApiError, bearer


class SessionCalls:
    """The calls of one channel. Each raises ApiError."""

    def __init__(self, channel: grpc.aio.Channel, timeout_s: float) -> None:
        self._stub: Any = session_pb2_grpc.SessionServiceStub(channel)
        self._timeout_s = timeout_s

    async def begin(self, key: str, user: str) -> session_pb2.CreateSessionResponse:
        """Returns a session of a key or a JWT for a user; empty: the one of the JWT, or the usual one."""
        metadata = (*bearer(key), *((("i2v-user", user),) if user else ()))
        found: session_pb2.CreateSessionResponse = await self._call(
            "CreateSession", session_pb2.CreateSessionRequest(), metadata
        )
        return found

    async def exchange(self, ticket: str) -> session_pb2.CreateSessionResponse:
        """Returns the session of a ticket."""
        request = session_pb2.ExchangeTicketRequest()
        found: session_pb2.CreateSessionResponse = await self._call("ExchangeTicket", request, bearer(ticket))
        return found

    async def who(self, token: str) -> session_pb2.Session:
        """Returns the session of a token."""
        found: session_pb2.Session = await self._call("GetSession", session_pb2.GetSessionRequest(), bearer(token))
        return found

    async def end(self, token: str) -> None:
        """Ends the session of a token."""
        await self._call("DeleteSession", session_pb2.DeleteSessionRequest(), bearer(token))

    async def _call(self, method: str, request: Any, metadata: tuple[tuple[str, str], ...]) -> Any:
        try:
            return await getattr(self._stub, method)(request, metadata=metadata, timeout=self._timeout_s)
        except grpc.aio.AioRpcError as error:
            raise ApiError(from_call(error)) from error
