"""The address that Prometheus reads: GET /metrics, in the plain format or in that of OpenMetrics, which has exemplars.

It answers from threads of its own. A client that is slow holds one for a limited time, and a new one always finds a
place. If the address cannot be had, the process goes on without and tries again.
"""

import gzip
import logging
import socket
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from socketserver import ThreadingMixIn
from time import monotonic
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import CollectorRegistry, disable_created_metrics
from prometheus_client.exposition import choose_encoder

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

AGAIN_S = 10.0
"""Seconds between two tries to get the address."""
CONNECTION_S = 10.0
"""Seconds that a connection may take from its first to its last byte."""
CONNECTIONS = 16
"""Connections at a time; another one ends the oldest."""
LOOK_S = 0.5
COMPRESSION = 1
"""Of gzip, the fastest: 33 kB of 491, where the best makes 26."""

log = logging.getLogger(__name__)


class _Handler(WSGIRequestHandler):
    def setup(self) -> None:
        assert isinstance(self.server, _Server)
        self.timeout = self.server.connection_s  # type: ignore[misc]  # typed as a constant of the class
        super().setup()

    def log_message(self, format: str, *args: object) -> None:
        """Logs nothing for a scrape."""


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def __init__(self, host: str, port: int, registry: CollectorRegistry, connection_s: float, most: int) -> None:
        self.address_family, *_, address = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        self._open: dict[socket.socket, float] = {}
        """The connections, the oldest first, and when each began."""
        self._turn = threading.Lock()
        self.connection_s, self._most = connection_s, most
        super().__init__((str(address[0]), port), _Handler)
        self.set_app(_application(registry))

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._turn:
            if len(self._open) >= self._most:
                oldest = next(iter(self._open))
                del self._open[oldest]  # its thread may take a while to notice
                _cut(oldest)
            self._open[request] = monotonic()
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._turn:
            self._open.pop(request, None)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        """Ends the connections that take too long. Called twice a second."""
        with self._turn:
            for connection, began in self._open.items():
                if monotonic() - began > self.connection_s:
                    _cut(connection)

    def handle_error(self, request: Any, client_address: Any) -> None:
        log.debug("a scrape was not finished", exc_info=True)


def _cut(connection: socket.socket) -> None:
    """Ends a connection; its thread notices that at its next read or write."""
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def _application(registry: CollectorRegistry) -> Callable[..., Iterable[bytes]]:
    """Returns what answers a scrape, for WSGI."""

    def answer(environ: "WSGIEnvironment", start: "StartResponse") -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] != "GET":
            start("405 Method Not Allowed", [("Allow", "GET"), ("Content-Type", "text/plain")])
            return [b"use GET\n"]
        encode, kind = choose_encoder(environ.get("HTTP_ACCEPT", ""))
        try:
            body = encode(registry)
        except Exception:
            log.exception("the metrics cannot be written")
            start("500 Internal Server Error", [("Content-Type", "text/plain")])
            return [b"the metrics cannot be written; the log says why\n"]
        headers = [("Content-Type", kind)]
        if "gzip" in environ.get("HTTP_ACCEPT_ENCODING", ""):
            body = gzip.compress(body, COMPRESSION)
            headers.append(("Content-Encoding", "gzip"))
        start("200 OK", headers)
        return [body]

    return answer


class MetricsEndpoint:
    """Serves a registry on an address until it is closed."""

    def __init__(
        self,
        address: str,
        registry: CollectorRegistry,
        *,
        again_s: float = AGAIN_S,
        connection_s: float = CONNECTION_S,
        most: int = CONNECTIONS,
    ) -> None:
        """`address` is `host:port`; port 0: a free one."""
        # The `_created` samples would be a tenth of each scrape, and no query of ours reads them.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._address, self._again_s = address, again_s
        host, _, port = address.rpartition(":")
        self._arguments = (host.strip("[]"), int(port), registry, connection_s, most)
        self._closing, self._turn = threading.Event(), threading.Lock()
        self._server = self._listening(first=True)
        self._thread = threading.Thread(target=self._serve, name="metrics", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """The port that it listens on; 0 while the address cannot be had."""
        return self._server.server_port if self._server is not None else 0

    def close(self) -> None:
        """Ends it, and gives the address back."""
        with self._turn:
            self._closing.set()
            server = self._server
        if server is not None:
            ending = threading.Thread(target=server.shutdown, name="metrics-end")
            ending.start()
            # The server looks for its end after each connection, and otherwise every half second.
            with suppress(OSError):
                socket.create_connection(server.socket.getsockname()[:2], timeout=1).close()
            ending.join()
        self._thread.join()

    def _listening(self, *, first: bool) -> _Server | None:
        try:
            return _Server(*self._arguments)
        except (OSError, OverflowError) as error:
            if first:
                cause = getattr(error, "strerror", None) or str(error)
                fields = {"address": self._address, "cause": cause, "again_s": self._again_s}
                log.error("metrics cannot be served; the service goes on without, and tries again", extra=fields)
            return None

    def _serve(self) -> None:
        while self._server is None:
            if self._closing.wait(self._again_s):
                return
            with self._turn:
                if not self._closing.is_set() and (found := self._listening(first=False)) is not None:
                    log.info("metrics are served", extra={"address": self._address})
                    self._server = found
        self._server.serve_forever(LOOK_S)
        self._server.server_close()


def serve_metrics(address: str, registry: CollectorRegistry) -> tuple[int, Callable[[], None]]:
    """Serves GET /metrics on `host:port`. Returns the port, 0 if it is taken for now, and a function that ends it."""
    endpoint = MetricsEndpoint(address, registry)
    return endpoint.port, endpoint.close
