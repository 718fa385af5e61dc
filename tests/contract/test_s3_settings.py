"""What the settings of S3 change in the requests: authorities, encryption."""

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from services.errors import Unavailable
from services.orchestrator.blobs.s3_bucket import encryption
from tests.support.blob_stores import MIB, a_file, content, minio
from tests.support.s3_fixture import S3Server, running_s3
from tools.made_certificates import a_certificate

KMS = {"x-amz-server-side-encryption": "aws:kms", "x-amz-server-side-encryption-aws-kms-key-id": "arn:key"}


class Recorder(BaseHTTPRequestHandler):
    """Takes any object, and keeps the headers about encryption of each PUT and POST."""

    recorded: list[dict[str, str]]
    sizes: dict[str, int]

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(self.sizes.get(self.path, 0)))
        self.send_header("Last-Modified", "Mon, 30 Nov 2026 00:00:00 GMT")
        self.send_header("ETag", '"0"')
        self.end_headers()

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.sizes[self.path] = int(self.headers["Content-Length"])
        names = [name for name in self.headers if "encryption" in name.lower()]
        self.recorded.append({name.lower(): str(self.headers[name]) for name in names})
        self.send_response(200)
        self.send_header("ETag", '"0"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def recording(certificate: tuple[Path, Path] | None) -> Iterator[tuple[S3Server, list[dict[str, str]]]]:
    recorded: list[dict[str, str]] = []
    handler = type("Handler", (Recorder,), {"recorded": recorded, "sizes": {}, "protocol_version": "HTTP/1.1"})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield S3Server(f"localhost:{server.server_port}", "test-access-key", "test-secret-key"), recorded
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("kind", "key", "sent"),
    [("none", "", {}), ("sse-s3", "", {"x-amz-server-side-encryption": "AES256"}), ("sse-kms", "arn:key", KMS)],
)
async def test_every_write_says_how_it_is_to_be_encrypted(
    tmp_path: Path, kind: str, key: str, sent: dict[str, str]
) -> None:
    certificate = a_certificate(tmp_path / "tls")
    with recording(certificate) as (server, recorded):
        blobs = minio(server, secure=True, ca_file=str(certificate[0]), encryption=encryption(kind, key))
        await blobs.put_file("video", a_file(tmp_path, 10)[0], media_type="video/mp4")
        await blobs.check()
        form = await blobs.signed_post("uploads/u", most_bytes=9, expires_s=60)
        await blobs.close()
    assert recorded == [sent, sent]
    assert {name: value for name, value in form.fields.items() if "encryption" in name} == sent


async def test_a_store_with_an_authority_of_its_own_needs_the_file(tmp_path: Path) -> None:
    certificate = a_certificate(tmp_path / "tls")
    path, data = a_file(tmp_path, 3 * MIB)
    with running_s3(tmp_path / "s3", certificate=certificate) as server:
        endpoint = server.endpoint.replace("127.0.0.1", "localhost")
        blobs = minio(server, endpoint=endpoint, secure=True, ca_file=str(certificate[0]))
        await blobs.put_file("video", path, media_type="video/mp4")
        assert await content(blobs, "video") == data
        await blobs.close()
        other = minio(server, endpoint=endpoint, secure=True)
        with pytest.raises(Unavailable):
            await other.size("video")
        await other.close()
