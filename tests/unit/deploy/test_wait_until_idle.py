"""The hook that lets a Triton end its videos before it is stopped, on a real page of metrics."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from tests.support.overlays import K8S

HOOK = K8S / "components/triton-hooks/wait_until_idle.py"
BUSY = 'i2v_transformer_videos 1\ni2v_vae_decoder_sequences{model="vae_decoder"} 0\n'
DECODES = 'i2v_transformer_videos 0\ni2v_vae_decoder_sequences{model="vae_decoder"} 1\n'
IDLE = '# HELP i2v_transformer_videos Videos\ni2v_transformer_videos 0\ni2v_vae_decoder_sequences{model="a"} 0\n'


@contextmanager
def metrics(*pages: str) -> Iterator[tuple[str, list[str]]]:
    """A page of metrics that answers with these pages in turn and then repeats the last one, and its URL."""
    left = list(pages)

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = (left.pop(0) if len(left) > 1 else left[0]).encode()
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/metrics", left
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def hook(url: str, seconds: str, quiet_s: float = 0.0) -> int:
    code = f"import runpy, sys; sys.exit(runpy.run_path({str(HOOK)!r})['main']([{seconds!r}], {url!r}, {quiet_s!r}))"
    return subprocess.run([sys.executable, "-c", code], timeout=120).returncode


@pytest.mark.parametrize("busy", [BUSY, DECODES])
def test_a_busy_triton_is_waited_for_until_it_is_idle(busy: str) -> None:
    with metrics(busy, busy, IDLE) as (url, left):
        assert hook(url, "60") == 0
        assert left == [IDLE]


def test_a_video_that_begins_before_all_workers_know_of_the_stop_is_waited_for() -> None:
    with metrics(IDLE, BUSY, IDLE) as (url, left):
        assert hook(url, "60", quiet_s=0.5) == 0
        assert left == [IDLE]


def test_the_wait_has_an_end() -> None:
    with metrics(BUSY) as (url, _):
        assert hook(url, "0.5") == 1


def test_a_triton_that_does_not_answer_is_not_waited_for() -> None:
    with metrics(IDLE) as (url, _):
        pass
    assert hook(url, "60") == 0
