"""The service moves to another store while it serves, by the command; and what the command says of a bucket."""

import hashlib
import json
import secrets
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest
from i2v.admin.v1 import blob_pb2, blob_pb2_grpc

from services.rpc.status_codes import from_call
from tests.integration.tenants.conftest import FIRST_OPERATOR
from tests.support.blob_stores import until
from tests.support.builders import ScriptedBackend
from tests.support.client_command import Command, Ended
from tests.support.pictures import a_picture
from tests.support.s3_fixture import S3Server
from tests.support.served_orchestrator import Served, caller, served

Serve = Callable[..., Any]


@pytest.fixture
def serve(database: str, tmp_path: Path) -> Serve:
    """Serves with other settings."""
    (tmp_path / "operator-key").write_text(FIRST_OPERATOR + "\n")

    @asynccontextmanager
    async def serving(**settings: Any) -> AsyncIterator[Served]:
        def change(values: dict[str, Any]) -> None:
            values |= {"operator_key_file": str(tmp_path / "operator-key")} | settings

        async with served(database, tmp_path, {"test": (ScriptedBackend(), 2)}, change=change) as running:
            yield running

    return serving


@pytest.fixture(params=["folder", "s3"])
def new(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    """The settings of the new store."""
    if request.param == "folder":
        return {"blobs": "local", "blobs_folder": str(tmp_path / "new")}
    server: S3Server = request.getfixturevalue("s3_server")
    return {
        "blobs": "s3",
        "s3_endpoint": server.endpoint,
        "s3_access_key": server.access_key,
        "s3_secret_key": server.secret_key,
        "s3_bucket": f"moving-{abs(hash(request.node.nodeid)) % 10**12}",
        "s3_secure": False,
    }


async def admin(i2v: Served, folder: Path, *arguments: str) -> Ended:
    return await Command(i2v.address, folder)("admin", "blobs", *arguments, key=FIRST_OPERATOR)


async def test_the_service_moves_while_it_serves(serve: Serve, new: dict[str, Any], tmp_path: Path) -> None:
    async with serve() as i2v:
        names = [(await i2v.upload(a_picture(64 + 16 * number))).name for number in range(3)]
        stored = [await i2v.download(name) for name in names]
    async with serve(**new, blobs_old="local") as i2v:
        assert [await i2v.download(name) for name in names] == stored
        added = (await i2v.upload(a_picture(32))).name
        planned = await admin(i2v, tmp_path, "copy", "--dry-run")
        assert (planned.code, planned.out.splitlines()[0][:40]) == (0, "3 copied (0 MB), 0 present, 0 deleted me")
        first = await admin(i2v, tmp_path, "copy", "--mb-per-second", "100")
        assert first.code == 0, first.err
        assert first.out.splitlines() == [
            "3 copied (0 MB), 0 present, 0 deleted meanwhile, 0 waiting, 0 altered, 0 missing",
            "Run this again, until nothing is left to copy.",
        ]
        second = await admin(i2v, tmp_path, "copy")
        assert second.code == 0
        assert second.out.splitlines() == [
            "0 copied (0 MB), 3 present, 0 deleted meanwhile, 0 waiting, 0 altered, 0 missing",
            "Nothing is left to copy: I2V_BLOBS_OLD can be removed.",
        ]
        counted = i2v.registry.get_sample_value("i2v_blob_copies_total", {"outcome": "present"})
        assert counted == 3
    shutil.rmtree(tmp_path / "blobs")
    async with serve(**new) as i2v:
        assert [await i2v.download(name) for name in names] == stored
        assert await i2v.download(added)


async def test_a_copy_says_what_is_altered_missing_or_in_use(serve: Serve, tmp_path: Path) -> None:
    async with serve() as i2v:
        names = [(await i2v.upload(a_picture(64 + 16 * number))).name for number in range(2)]
    files = [tmp_path / "blobs/tenants/studio/assets" / name.removeprefix("assets/") for name in names]
    files[0].unlink()
    data = files[1].read_bytes()
    files[1].unlink()
    files[1].write_bytes(data[:-1])
    (tmp_path / "blobs" / "checkpoints").mkdir()
    (tmp_path / "blobs" / "checkpoints" / "job.0000").write_bytes(b"latents")
    async with serve(blobs_folder=str(tmp_path / "new"), blobs_old="local") as i2v:
        ended = await admin(i2v, tmp_path, "copy")
    key = "tenants/studio/assets/{}".format
    assert (ended.code, ended.out.splitlines()) == (
        1,
        [
            f"altered: {key(files[1].name)}",
            f"missing: {key(files[0].name)}",
            "0 copied (0 MB), 0 present, 0 deleted meanwhile, 1 waiting, 1 altered, 1 missing",
            "Something is lost: keep the old store, and look at the keys above.",
        ],
    )


async def test_a_copy_that_is_interrupted_leaves_nothing_half_done_and_goes_on(serve: Serve, tmp_path: Path) -> None:
    data = secrets.token_bytes(4_000_000)
    key = f"tenants/studio/assets/{hashlib.sha256(data).hexdigest()}"
    (tmp_path / "blobs" / key).parent.mkdir(parents=True)
    (tmp_path / "blobs" / key).write_bytes(data)
    async with serve(blobs_folder=str(tmp_path / "new"), blobs_old="local") as i2v:
        stub: Any = blob_pb2_grpc.BlobServiceStub(i2v.channel)
        slow = blob_pb2.CopyBlobsRequest(bytes_per_second=10_000)
        call = stub.CopyBlobs(slow, metadata=caller(key=FIRST_OPERATOR))
        assert (await call.read()).key == "", "it says once in a second that nothing is complete"

        async def spooled(wanted: bool) -> bool:
            return bool(list((tmp_path / "spool").rglob("copy-*"))) == wanted

        await until(partial(spooled, True))
        call.cancel()
        await until(partial(spooled, False))
        assert not (tmp_path / "new" / key).exists()
        ended = await admin(i2v, tmp_path, "copy", "--json")
        counts = json.loads(ended.out.splitlines()[-1])["counts"]
        assert (counts["copied"], counts["copied_bytes"], counts["present"]) == ("1", "4000000", "0")
        assert (tmp_path / "new" / key).read_bytes() == data


async def test_without_an_old_store_there_is_nothing_to_copy(serve: Serve, tmp_path: Path) -> None:
    async with serve() as i2v:
        stub: Any = blob_pb2_grpc.BlobServiceStub(i2v.channel)
        call = stub.CopyBlobs(blob_pb2.CopyBlobsRequest(), metadata=caller(key=FIRST_OPERATOR))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call.read()
        assert from_call(caught.value).reason == "NO_OLD_STORE"
        ended = await admin(i2v, tmp_path, "copy")
        assert ended.code == 3
        assert "I2V_BLOBS_OLD is not set" in ended.err


async def test_a_folder_has_nothing_to_configure(serve: Serve, tmp_path: Path) -> None:
    async with serve() as i2v:
        ended = await admin(i2v, tmp_path, "configure")
    assert (ended.code, ended.out) == (
        0,
        "folder: current. The bytes are in a folder (I2V_BLOBS=local): there is nothing to configure.\n",
    )


async def test_a_store_that_takes_no_rules_is_said_in_a_line_for_each(
    serve: Serve, s3_server: S3Server, tmp_path: Path
) -> None:
    store = {"blobs": "s3", "s3_endpoint": s3_server.endpoint, "s3_secure": False, "s3_bucket": "i2v-test"}
    keys = {"s3_access_key": s3_server.access_key, "s3_secret_key": s3_server.secret_key}
    async with serve(**store, **keys) as i2v:
        ended = await admin(i2v, tmp_path, "configure", "--origin", "https://app.example.com")
        assert ended.code == 1
        assert [line.split(". ")[0] for line in ended.out.splitlines()[:2]] == [
            "life-cycle rules: unsupported",
            "CORS: unsupported",
        ]
        wrong = await admin(i2v, tmp_path, "configure", "--origin", "https://app.example.com/page")
        assert (wrong.code, "origins[0]" in wrong.err) == (3, True)
