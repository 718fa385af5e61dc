"""The `i2v` command before a server that demands certificates: it shows one, or says in a line why it cannot."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support.client_command import Command, Ended
from tests.support.scripted_server import Script, serving
from tools.made_certificates import Authority, server_files


@dataclass
class Rig:
    """The server's authority, which is its clients' too, and the command."""

    authority: Authority
    ca: Path
    folder: Path
    i2v: Command

    async def jobs(self, pair: tuple[Path, Path] | None, **environment: str) -> Ended:
        shown = () if pair is None else ("--cert-file", str(pair[0]), "--cert-key-file", str(pair[1]))
        return await self.i2v("--ca-file", str(self.ca), *shown, "jobs", **environment)


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    authority = Authority(tmp_path)
    ca = authority.file()
    tls = server_files(*authority.issue(tmp_path / "server"), ca)
    server = await serving(Script(), "localhost:0", tls=tls)
    yield Rig(authority, ca, tmp_path, Command(f"localhost:{server.port}", tmp_path))
    await server.drain(0)


async def test_a_certificate_by_options_or_variables_is_shown(rig: Rig) -> None:
    cert, key = rig.authority.issue(rig.folder / "client", "ann")
    ended = await rig.jobs((cert, key))
    assert (ended.code, ended.err) == (0, "")
    files = {"I2V_SERVER_CERT_FILE": str(cert), "I2V_SERVER_CERT_KEY_FILE": str(key)}
    ended = await rig.jobs(None, **files)
    assert (ended.code, ended.err) == (0, "")


async def test_without_a_certificate_that_the_server_knows_its_option_is_named(rig: Rig) -> None:
    stranger = Authority(rig.folder / "other", "another authority").issue(rig.folder / "stranger", "ann")
    for pair in (None, stranger):
        ended = await rig.jobs(pair)
        assert ended.code == 5
        assert "A server that demands a certificate closes the connection" in ended.err and "--cert-file" in ended.err


async def test_a_certificate_that_cannot_be_used_is_wrong_use_and_named(rig: Rig) -> None:
    cert, _ = rig.authority.issue(rig.folder / "client", "ann")
    _, other = rig.authority.issue(rig.folder / "other", "ann")
    end = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
    expired = rig.authority.issue(rig.folder / "expired", "ann", end=end)
    for pair, why in (
        ((cert, other), "which are no certificate and its key in PEM: the key is another certificate's"),
        (expired, f"--cert-file names {expired[0]}, which expired at {end:%Y-%m-%dT%H:%M:%SZ}"),
    ):
        ended = await rig.jobs(pair)
        assert (ended.code, why in ended.err) == (2, True), ended
    ended = await rig.i2v("--cert-file", str(cert), "jobs")
    assert (ended.code, "--cert-file and --cert-key-file go together" in ended.err) == (2, True), ended
