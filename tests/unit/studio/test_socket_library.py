"""What is overridden or read of python-socketio and is not public: an upgrade that changes it fails here first."""

import inspect
from importlib.metadata import version

import pytest
import socketio
from engineio.async_socket import AsyncSocket

from services.studio.socket.server import Server

WHERE = f"services/studio/socket/server.py no longer fits python-socketio {version('python-socketio')}"
PARAMETERS = {
    "_handle_eio_connect": ["self", "eio_sid", "environ"],
    "_handle_connect": ["self", "eio_sid", "namespace", "data"],
    "_handle_eio_disconnect": ["self", "eio_sid", "reason"],
}


async def nothing(sid: str) -> None:
    """Is called for no connection here."""


def test_every_method_that_is_overridden_is_known() -> None:
    of_the_library = {name for name in vars(Server) if name.startswith("_handle")}
    assert of_the_library == set(PARAMETERS)


@pytest.mark.parametrize("name", PARAMETERS)
def test_the_library_has_the_methods_that_are_overridden(name: str) -> None:
    found = getattr(socketio.AsyncServer, name, None)
    assert inspect.iscoroutinefunction(found), f"{WHERE}: there is no {name}"
    assert list(inspect.signature(found).parameters) == PARAMETERS[name], f"{WHERE}: {name} has other parameters"


async def test_the_library_calls_them_and_has_the_state_that_is_read() -> None:
    server = Server([], nothing, nothing)
    for event in ("connect", "disconnect"):
        called = server.eio.handlers.get(event)
        assert called == getattr(server, f"_handle_eio_{event}"), f"{WHERE}: {event} is handled elsewhere"
    assert server._binary_packet == {} and server.eio.sockets == {}, WHERE
    connection = AsyncSocket(server.eio, "x")
    assert connection.queue.qsize() == 0 and not connection.upgraded, WHERE
    assert server.manager.eio_sid_from_sid("x", "/") is None, WHERE
    assert server.manager.sid_from_eio_sid("x", "/") is None, WHERE
