"""The address that Prometheus reads: formats, slow clients, an address that is taken."""

import http.client
import logging
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from services.metrics.endpoint import MetricsEndpoint

OPENMETRICS = "application/openmetrics-text; version=1.0.0"
Start = Callable[..., MetricsEndpoint]


@pytest.fixture
def registry() -> CollectorRegistry:
    found = CollectorRegistry()
    Counter("i2v_test_total", "A test.", registry=found).inc(1, {"trace_id": "abc"})
    return found


@pytest.fixture
def start(registry: CollectorRegistry) -> Iterator[Start]:
    with ExitStack() as stack:

        def starting(address: str = "127.0.0.1:0", **given: Any) -> MetricsEndpoint:
            return stack.enter_context(closing(MetricsEndpoint(address, registry, **given)))

        yield starting


def scrape(port: int, method: str = "GET", **headers: str) -> tuple[int, str, bytes]:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        connection.request(method, "/metrics", headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.headers["content-type"], answer.read()


def connected(port: int, sent: bytes = b"GET /metrics HTTP/1.1\r\n") -> socket.socket:
    """A client that has sent the beginning of a request."""
    opened = socket.create_connection(("127.0.0.1", port), timeout=30)
    opened.sendall(sent)
    return opened


def test_a_scrape_has_exemplars_when_it_asks_for_openmetrics(start: Start) -> None:
    port = start().port
    status, kind, text = scrape(port, Accept=OPENMETRICS)
    assert (status, kind.split(";")[0]) == (200, OPENMETRICS.split(";")[0])
    assert b'i2v_test_total 1.0 # {trace_id="abc"} 1.0' in text
    assert text.endswith(b"# EOF\n")
    status, kind, text = scrape(port)
    assert (status, kind.split(";")[0]) == (200, "text/plain")
    assert b"i2v_test_total 1.0\n" in text


def test_other_methods_are_refused(start: Start) -> None:
    assert scrape(start().port, "POST")[0] == 405


def test_a_client_that_sends_nothing_ends_and_blocks_no_one(start: Start) -> None:
    endpoint = start(connection_s=1.0)
    with closing(connected(endpoint.port)) as slow, closing(connected(endpoint.port, b"")) as silent:
        assert scrape(endpoint.port)[0] == 200
        assert slow.recv(1) == silent.recv(1) == b""


def test_a_client_that_sends_a_byte_at_a_time_ends_too(start: Start) -> None:
    endpoint, ended = start(connection_s=1.0), threading.Event()
    with closing(connected(endpoint.port)) as slow:

        def trickle() -> None:
            while not ended.wait(0.1):
                try:
                    slow.sendall(b"x")
                except OSError:
                    return

        trickling = threading.Thread(target=trickle)
        trickling.start()
        try:
            assert slow.recv(1) == b""
        except ConnectionResetError:
            pass
        finally:
            ended.set()
            trickling.join()


def test_many_slow_clients_leave_a_place_for_another(start: Start) -> None:
    endpoint = start(connection_s=60.0, most=4)
    with ExitStack() as stack:
        slow = [stack.enter_context(closing(connected(endpoint.port))) for _ in range(8)]
        assert scrape(endpoint.port)[0] == 200
        assert slow[0].recv(1) == b"", "the oldest made place"


def test_connections_that_do_not_notice_their_end_leave_a_place_too(registry: CollectorRegistry) -> None:
    class Slow(Collector):
        gate = threading.Event()

        def collect(self) -> Iterator[Metric]:
            self.gate.wait(60)
            yield from ()

    registry.register(slow := Slow())
    with closing(MetricsEndpoint("127.0.0.1:0", registry, connection_s=60.0, most=2)) as endpoint, ExitStack() as stack:
        request = b"GET /metrics HTTP/1.1\r\n\r\n"
        stack.callback(slow.gate.set)
        for _ in range(2):
            stack.enter_context(closing(connected(endpoint.port, request)))
        silent = [stack.enter_context(closing(connected(endpoint.port))) for _ in range(4)]
        assert silent[0].recv(1) == silent[1].recv(1) == b""


def test_an_address_that_is_taken_is_reported_and_had_later(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "services.metrics")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        endpoint = start(address, again_s=0.05)
        assert endpoint.port == 0
        (line,) = caplog.records
        assert (line.levelname, vars(line)["address"]) == ("ERROR", address)
        assert "goes on without" in line.message
    while not endpoint.port:
        threading.Event().wait(0.01)
    assert scrape(endpoint.port)[0] == 200
    assert caplog.records[-1].message == "metrics are served"


@pytest.mark.parametrize("address", ["192.0.2.1:9464", "127.0.0.1:99999"])
def test_an_address_that_this_machine_does_not_have_stops_nothing(start: Start, address: str) -> None:
    assert start(address, again_s=60.0).port == 0


def test_an_endpoint_closes_while_a_client_hangs(registry: CollectorRegistry) -> None:
    endpoint = MetricsEndpoint("127.0.0.1:0", registry)
    with closing(connected(endpoint.port)):
        endpoint.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", endpoint.port or 1), timeout=5)


def test_metrics_that_cannot_be_written_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    registry = CollectorRegistry()
    Counter("i2v_test_total", "A test.", ["model"], registry=registry).labels("\ud800").inc()
    with closing(MetricsEndpoint("127.0.0.1:0", registry)) as endpoint:
        assert scrape(endpoint.port)[0] == 500
    assert "the metrics cannot be written" in caplog.text
