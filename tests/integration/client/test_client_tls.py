"""The client by TLS: files that are replaced while it runs, and files that cannot be used."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from i2v_client import AsyncClient, TlsFiles, Unreachable
from tests.support.scripted_server import KEY, Script, serving
from tools.made_certificates import Authority, replace, server_files


@dataclass
class Rig:
    """A server that demands certificates, and a client's files."""

    script: Script
    authority: Authority
    ca: Path
    pair: tuple[Path, Path]
    folder: Path
    address: str

    def files(self) -> TlsFiles:
        return TlsFiles(ca=self.ca, cert=self.pair[0], key=self.pair[1])


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    authority = Authority(tmp_path)
    ca, script = authority.file(), Script()
    server = await serving(script, "localhost:0", tls=server_files(*authority.issue(tmp_path / "server"), ca))
    pair = authority.issue(tmp_path / "client", "ann")
    yield Rig(script, authority, ca, pair, tmp_path, f"localhost:{server.port}")
    await server.drain(0)


async def test_new_calls_use_files_that_were_replaced_and_an_open_watch_goes_on(rig: Rig) -> None:
    rig.script.endless = True
    stranger = Authority(rig.folder / "other", "another authority").issue(rig.folder / "stranger", "ann")
    async with (
        AsyncClient(rig.address, KEY, tls=rig.files(), retry_for_s=0.2) as i2v,
        aclosing(i2v.watch("jobs/7")) as events,
    ):
        assert (await anext(events)).sequence == 1
        replace(rig.pair, stranger)
        with pytest.raises(Unreachable):
            await i2v.get("jobs/7")
        replace(rig.pair, rig.authority.issue(rig.folder / "next", "ann"))
        assert (await i2v.get("jobs/7")).name == "jobs/7"
        await i2v.cancel("jobs/7")
        kinds = [event.WhichOneof("event") async for event in events]
    assert kinds[-1] == "cancelled"


async def test_new_files_that_do_not_go_together_are_left_and_the_ones_before_them_stay(rig: Rig) -> None:
    async with AsyncClient(rig.address, KEY, tls=rig.files(), retry_for_s=5) as i2v:
        assert (await i2v.get("jobs/7")).name == "jobs/7"
        rig.pair[0].write_bytes(rig.authority.issue(rig.folder / "next", "ann")[0].read_bytes())
        assert (await i2v.get("jobs/7")).name == "jobs/7"
        rig.pair[1].unlink()
        assert (await i2v.get("jobs/7")).name == "jobs/7"


async def test_a_file_that_cannot_be_used_is_said_before_any_call(rig: Rig) -> None:
    cert, key = rig.pair
    other = rig.authority.issue(rig.folder / "other", "ben")
    with pytest.raises(ValueError, match="go together"):
        TlsFiles(cert=cert)
    with pytest.raises(ValueError, match="go together"):
        TlsFiles(cert=cert, key=other[1])
    with pytest.raises(ValueError, match=str(cert)):
        TlsFiles(cert=key, key=cert)
    with pytest.raises(FileNotFoundError):
        TlsFiles(ca=rig.folder / "none.pem")
    (rig.folder / "empty.pem").touch()
    with pytest.raises(ValueError, match=r"empty\.pem"):
        TlsFiles(ca=rig.folder / "empty.pem")
    locked = rig.folder / "locked.pem"
    plain = load_pem_private_key(key.read_bytes(), None)
    form = Encoding.PEM, PrivateFormat.PKCS8
    locked.write_bytes(plain.private_bytes(*form, BestAvailableEncryption(b"a password")))
    with pytest.raises(ValueError, match=r"locked\.pem"):
        await asyncio.wait_for(asyncio.to_thread(TlsFiles, cert=cert, key=locked), 30)  # and asks no terminal for it
