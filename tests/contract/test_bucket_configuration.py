"""What a bucket is configured with: on stores that know all of it, parts of it, or nothing."""

import re
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest
import pytest_asyncio

from services.errors import Unavailable
from services.orchestrator.blobs.s3_bucket import S3Bucket
from services.orchestrator.blobs.s3_configuration import S3Configuration
from services.orchestrator.ports.bucket_configuration import BucketItem, ItemState
from tests.support.blob_stores import s3_named
from tests.support.s3_fixture import S3Server

XMLNS = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
NONE = {
    "lifecycle": "NoSuchLifecycleConfiguration",
    "cors": "NoSuchCORSConfiguration",
    "publicAccessBlock": "NoSuchPublicAccessBlockConfiguration",
    "encryption": "ServerSideEncryptionConfigurationNotFoundError",
}
OTHERS = (
    "<Rule><ID>archive</ID><Filter><And><Prefix>tenants/</Prefix><ObjectSizeGreaterThan>500</ObjectSizeGreaterThan></And>"
    "</Filter><Status>Enabled</Status><Transition><Days>9</Days><StorageClass>GLACIER</StorageClass></Transition></Rule>"
)
ORIGINS = ["https://app.example.com", "http://localhost:3000"]


@dataclass
class Bucket:
    """A bucket's configuration as a store keeps it."""

    found: dict[str, str] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)
    """HTTP statuses by query."""
    puts: list[str] = field(default_factory=list)
    forgets: bool = False


class Store(BaseHTTPRequestHandler):
    """Answers requests for the configuration of a bucket."""

    bucket: Bucket
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer(200, "")

    def do_GET(self) -> None:
        query = urlsplit(self.path).query.removesuffix("=")
        if query in self.bucket.refused:
            self._answer(self.bucket.refused[query], error("NotImplemented"))
        elif query in self.bucket.found:
            self._answer(200, self.bucket.found[query])
        elif query in NONE:
            self._answer(404, error(NONE[query]))
        else:
            self._answer(200, f"<VersioningConfiguration {XMLNS}/>")

    def do_PUT(self) -> None:
        query = urlsplit(self.path).query.removesuffix("=")
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        assert self.headers["Content-MD5"]
        self.bucket.puts.append(query)
        if not self.bucket.forgets:
            self.bucket.found[query] = body
        self._answer(200, "")

    def _answer(self, status: int, body: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        pass


def error(code: str) -> str:
    return f"<Error><Code>{code}</Code><Message>no</Message></Error>"


@contextmanager
def serving(bucket: Bucket) -> Iterator[S3Server]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Store,), {"bucket": bucket}))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield S3Server(f"127.0.0.1:{server.server_port}", "test-access-key", "test-secret-key")
    server.shutdown()
    thread.join()
    server.server_close()


def configuration(server: S3Server, name: str = "i2v-test", **changes: str) -> S3Configuration:
    values = {"access_key": server.access_key, "secret_key": server.secret_key} | changes
    return S3Configuration(S3Bucket(server.endpoint, name=name, **values))  # type: ignore[arg-type]


@dataclass
class Rig:
    bucket: Bucket
    configuration: S3Configuration

    async def apply(self, *origins: str, dry_run: bool = False) -> dict[str, BucketItem]:
        return {item.name: item for item in await self.configuration.apply(origins, dry_run=dry_run)}


@pytest_asyncio.fixture
async def rig() -> AsyncIterator[Rig]:
    bucket = Bucket()
    with serving(bucket) as server:
        made = Rig(bucket, configuration(server))
        yield made
        await made.configuration.close()


def states(items: dict[str, BucketItem]) -> list[str]:
    return [item.state.value for item in items.values()]


async def test_rules_are_written_read_back_and_written_once(rig: Rig) -> None:
    planned = await rig.apply(*ORIGINS, dry_run=True)
    assert states(planned) == ["different", "different", "advice", "advice", "current"]
    assert rig.bucket.puts == []
    done = await rig.apply(*ORIGINS)
    assert states(done) == ["changed", "changed", "advice", "advice", "current"]
    assert done["life-cycle rules"].changes == planned["life-cycle rules"].changes
    assert any(re.match(r"\+ i2v-uploads: .*Expiration.Days 2.*Prefix uploads/", line) for line in
               done["life-cycle rules"].changes)  # fmt: skip
    assert len(rig.bucket.found["lifecycle"].split("<DaysAfterInitiation>1<")) == 5
    assert all(f"<AllowedOrigin>{origin}</AllowedOrigin>" in rig.bucket.found["cors"] for origin in ORIGINS)
    again = await rig.apply(*ORIGINS)
    assert states(again) == ["current", "current", "advice", "advice", "current"]
    assert rig.bucket.puts == ["lifecycle", "cors"]


async def test_rules_of_others_stay_and_old_ones_of_the_service_go(rig: Rig) -> None:
    stale = "<Rule><ID>i2v-old</ID><Prefix>x/</Prefix><Status>Enabled</Status></Rule>"
    rig.bucket.found["lifecycle"] = f"<LifecycleConfiguration {XMLNS}>{OTHERS}{stale}</LifecycleConfiguration>"
    done = await rig.apply()
    assert OTHERS in rig.bucket.found["lifecycle"]
    assert "i2v-old" not in rig.bucket.found["lifecycle"]
    assert done["life-cycle rules"].changes[0].startswith("+ i2v-checkpoints")
    assert "- i2v-old: Prefix x/, Status Enabled" in done["life-cycle rules"].changes
    assert states(await rig.apply())[0] == "current"


async def test_without_origins_cors_stays_as_it_is(rig: Rig) -> None:
    assert (await rig.apply())["CORS"].state is ItemState.ADVICE
    await rig.apply(*ORIGINS)
    kept = (await rig.apply())["CORS"]
    assert kept.state is ItemState.CURRENT
    assert ORIGINS[0] in kept.detail
    changed = (await rig.apply("https://other.example.com"))["CORS"]
    assert [line[0] for line in changed.changes] == ["-", "+"]


async def test_old_versions_are_removed_where_there_are_any(rig: Rig) -> None:
    rig.bucket.found["versioning"] = (
        f"<VersioningConfiguration {XMLNS}><Status>Enabled</Status></VersioningConfiguration>"
    )
    done = await rig.apply()
    assert done["versioning"].state is ItemState.ADVICE
    assert len(rig.bucket.found["lifecycle"].split("<NoncurrentDays>1<")) == 5


async def test_what_protects_the_bucket_is_said(rig: Rig) -> None:
    blocks = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
    settings = "".join(f"<{name}>{'false' if name == 'BlockPublicPolicy' else 'true'}</{name}>" for name in blocks)
    rig.bucket.found["publicAccessBlock"] = (
        f"<PublicAccessBlockConfiguration {XMLNS}>{settings}</PublicAccessBlockConfiguration>"
    )
    rig.bucket.found["encryption"] = (
        f"<ServerSideEncryptionConfiguration {XMLNS}><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>aws:kms"
        "</SSEAlgorithm></ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>"
    )
    done = await rig.apply()
    assert done["public access block"].detail.startswith("Set BlockPublicPolicy:")
    assert (done["encryption"].state, "aws:kms" in done["encryption"].detail) == (ItemState.CURRENT, True)


async def test_what_a_store_refuses_is_said_of_that_alone(rig: Rig) -> None:
    rig.bucket.refused = {"cors": 501, "publicAccessBlock": 405, "encryption": 403, "versioning": 400}
    done = await rig.apply(*ORIGINS)
    assert states(done) == ["changed", "unsupported", "unsupported", "unsupported", "unsupported"]
    assert done["CORS"].detail == "The store answers NotImplemented."


async def test_a_store_that_forgets_the_rules_is_found_out(rig: Rig) -> None:
    rig.bucket.forgets = True
    done = await rig.apply()
    assert done["life-cycle rules"].state is ItemState.FAILED
    assert len(done["life-cycle rules"].changes) == 4


async def test_a_store_that_is_away_is_unavailable() -> None:
    with serving(Bucket()) as server:
        away = configuration(server)
    with pytest.raises(Unavailable):
        await away.apply([], dry_run=False)
    await away.close()


@pytest.mark.parametrize("name", ["rclone", "rgw", "outside"])
async def test_a_real_store_takes_the_rules_or_says_that_it_does_not(name: str, request: pytest.FixtureRequest) -> None:
    made = configuration(s3_named(name, request), "i2v-configured")
    bucket = Rig(Bucket(), made)
    first = await bucket.apply(*ORIGINS)
    second = await bucket.apply(*ORIGINS)
    known = {"rclone": {"unsupported"}, "rgw": {"current"}, "outside": {"current", "unsupported"}}[name]
    assert {second[each].state.value for each in ("life-cycle rules", "CORS")} <= known
    assert first.keys() == second.keys()
    await made.close()


@pytest.mark.parametrize("name", ["rclone", "rgw", "outside"])
async def test_a_wrong_key_is_unavailable(name: str, request: pytest.FixtureRequest) -> None:
    made = configuration(s3_named(name, request), access_key="wrong")
    with pytest.raises(Unavailable):
        await made.apply([], dry_run=True)
    await made.close()
