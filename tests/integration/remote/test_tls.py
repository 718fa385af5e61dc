"""From the orchestrator to its providers and the prompt writer by TLS, over real sockets."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from i2v.v1 import job_pb2
from prometheus_client import CollectorRegistry

from services.errors import Unavailable
from services.orchestrator.backend_connections import BackendTls, connect_backends, open_slot_locks
from services.orchestrator.backends.provider_backend import ProviderBackend
from services.orchestrator.backends.remote_prompt_writer import RemotePromptWriter
from services.orchestrator.domain.catalog import Catalog
from services.orchestrator.domain.spec import Scene
from services.orchestrator.meters.connection_metrics import ConnectionMetrics
from services.orchestrator.settings import Settings as OrchestratorSettings
from services.providers.prompt.app import open_app
from services.providers.prompt.settings import Settings
from services.rpc.server import serve
from tests.support.pictures import a_picture
from tests.support.plan_files import plan_table
from tests.support.provider_and_simulator import ACCESS, provided
from tests.support.served_orchestrator import served
from tools.made_certificates import Authority, a_certificate, client_files, server_files


@dataclass
class Rig:
    """A provider and a prompt writer with TLS."""

    vendor: int
    """Its port."""
    writer: int
    cert: Path
    """Of both, for `localhost`."""


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    cert, key = a_certificate(tmp_path / "own")
    files = {"tls_cert_file": str(cert), "tls_key_file": str(key)}

    def change(values: dict[str, Any], _: object) -> None:
        values |= files

    settings = Settings(
        listen="127.0.0.1:0",
        metrics_listen="",
        access_key=ACCESS,
        drain_s=0.0,
        tls_cert_file=str(cert),
        tls_key_file=str(key),
    )
    async with AsyncExitStack() as stack:
        vendor = await stack.enter_async_context(provided("wavespeed", tmp_path / "provider", change=change))
        writer = await stack.enter_async_context(open_app(settings, registry=CollectorRegistry()))
        yield Rig(vendor.app.server.port, writer.server.port, cert)


async def test_a_scene_becomes_a_video_with_tls_between_processes(database: str, tmp_path: Path, rig: Rig) -> None:
    (tmp_path / "plans").write_text("".join(plan_table(name, 9_000_000, 9) for name in ("test", "poor")))
    (tmp_path / "key").write_text(ACCESS)

    def change(values: dict[str, Any]) -> None:
        values |= {
            "triton": "",
            "providers": f"wavespeed=localhost:{rig.vendor}",
            "provider_key_file": str(tmp_path / "key"),
            "provider_ca_file": str(rig.cert),
            "prompt_writer": f"localhost:{rig.writer}",
            "plans_file": tmp_path / "plans",
        }

    async with served(database, tmp_path, None, change=change) as i2v:
        picture = (await i2v.upload(a_picture(400, 300))).name
        scene = job_pb2.SceneAnimation(image=picture, scene="A wave.")
        spec = job_pb2.JobSpec(model="wavespeed-kling-2.5-turbo-std", scene_animation=scene)
        ended = await i2v.ended((await i2v.submit(spec)).name)
    assert (ended.state, "wave" in ended.prompt) == (job_pb2.Job.SUCCEEDED, True)


@pytest.mark.parametrize("trust", ["another", "no-authority", "another-name"])
async def test_a_server_without_the_right_certificate_gets_no_data(tmp_path: Path, rig: Rig, trust: str) -> None:
    trusted = {"another": a_certificate(tmp_path / "another")[0], "another-name": rig.cert}
    tls = client_files(trusted[trust]) if trust in trusted else None  # plaintext, to a server with TLS
    host = "127.0.0.1" if trust == "another-name" else "localhost"
    vendor = ProviderBackend(f"{host}:{rig.vendor}", lambda: ACCESS, tls=tls)
    writer = RemotePromptWriter(f"{host}:{rig.writer}", lambda: ACCESS, tls=tls)
    with pytest.raises(Unavailable) as refused:
        await vendor.check()
    assert refused.value.reason == "PROVIDER_UNREACHABLE"
    with pytest.raises(Unavailable) as refused:
        await writer.write("scene-animation", Scene("A wave."), 100, "a-name")
    assert refused.value.reason == "PROMPT_WRITER_UNREACHABLE"
    await vendor.close()
    await writer.close()


@pytest.mark.parametrize(("shows", "code"), [(True, "UNIMPLEMENTED"), (False, "UNAVAILABLE")])
async def test_a_worker_shows_its_certificate_to_triton(tmp_path: Path, shows: bool, code: str) -> None:
    authority = Authority(tmp_path)
    ca, server_pair = authority.file(), authority.issue(tmp_path / "triton")
    cert, key = (str(each) for each in authority.issue(tmp_path / "worker"))
    files = server_files(*server_pair, ca)
    server = await serve("localhost:0", [], services=[], registry=CollectorRegistry(), verify=None, tls=files)
    shown = {"tls_cert_file": cert, "tls_key_file": key} if shows else {}
    settings = OrchestratorSettings(triton=f"localhost:{server.port}", triton_ca_file=str(ca), **shown)
    async with AsyncExitStack() as stack:
        tls = BackendTls(None, settings.triton_certificates())
        metrics, locks = ConnectionMetrics(CollectorRegistry()), open_slot_locks("", stack)
        backend, _ = connect_backends(settings, lambda: Catalog({}), stack, tls, metrics, locks)["triton"]
        with pytest.raises(Unavailable) as refused:  # the server with the certificate is no Triton, but it was reached
            await backend.check()
        assert refused.value.metadata["code"] == code
    await server.drain(0)
