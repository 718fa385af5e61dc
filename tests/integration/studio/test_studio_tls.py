"""The HTTP process before an API that demands certificates: it shows its own, and without one it reaches nothing."""

import ssl
from http.cookiejar import DefaultCookiePolicy
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
from google.protobuf.duration_pb2 import Duration
from i2v.v1 import asset_pb2
from prometheus_client import CollectorRegistry

from services.rpc.channel import open_channel
from services.studio.app import open_app
from services.studio.settings import Settings
from tests.support.builders import ScriptedBackend
from tests.support.pictures import a_picture
from tests.support.served_orchestrator import Served, caller, served
from tools.made_certificates import Authority, client_files


def ends_of(registry: CollectorRegistry) -> set[str]:
    """The certificates whose end a process shows."""
    families = [each for each in registry.collect() if each.name == "i2v_certificate_expiry_timestamp_seconds"]
    return {sample.labels["certificate"] for family in families for sample in family.samples}


async def test_media_come_by_mutual_tls_all_the_way(database: str, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    ca = str(authority.file())
    of_api, of_studio = (authority.issue(tmp_path / name) for name in ("api", "studio"))
    own = {"tls_cert_file": str(of_studio[0]), "tls_key_file": str(of_studio[1])}

    def change(values: dict[str, Any]) -> None:
        values |= {"tls_cert_file": str(of_api[0]), "tls_key_file": str(of_api[1]), "tls_client_ca_file": ca}
        values |= {"studio_url": "https://localhost"}

    async def status(url: str, **settings: str) -> tuple[int, bytes, set[str]]:
        """What the HTTP process answers, and the certificates that it has."""
        registry = CollectorRegistry()
        found = Settings(listen="localhost:0", metrics_listen="", api=address, api_ca_file=ca, **settings)
        trusting = ssl.create_default_context(cafile=ca)
        async with open_app(found, registry=registry) as app, httpx.AsyncClient(verify=trusting) as http:
            scheme = "https" if settings else "http"
            answer = await http.get(f"{scheme}://localhost:{app.port}{urlsplit(url).path}", timeout=60)
        return answer.status_code, answer.content, ends_of(registry)

    async with served(database, tmp_path, {"test": (ScriptedBackend(), 1)}, change=change) as api:
        address = f"localhost:{api.app.server.port}"
        files = client_files(Path(ca), authority.issue(tmp_path / "caller"))
        async with open_channel(address, tls=files) as channel:
            i2v = Served(api.app, channel, api.registry)
            asset = await i2v.upload(a_picture())
            request = asset_pb2.SignUrlRequest(name=asset.name, expire_in=Duration(seconds=600))
            url = (await i2v.assets.SignUrl(request, metadata=caller())).url
            data = await i2v.download(asset.name)
        assert await status(url, **own) == (200, data, {"server", "client", "ca"})
        assert (await status(url))[0] == 503
        assert ends_of(api.registry) == {"server", "ca"}


async def test_by_tls_the_cookie_of_a_session_is_one_that_no_other_host_can_set(database: str, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    certificate, key = authority.issue(tmp_path / "studio")
    trusting = ssl.create_default_context(cafile=str(authority.file()))
    async with served(database, tmp_path, {"test": (ScriptedBackend(), 1)}) as api:
        settings = Settings(
            listen="localhost:0",
            metrics_listen="",
            api=api.address,
            tls_cert_file=str(certificate),
            tls_key_file=str(key),
        )
        async with (
            open_app(settings, registry=CollectorRegistry()) as app,
            httpx.AsyncClient(verify=trusting, base_url=f"https://localhost:{app.port}", timeout=60) as http,
        ):
            http.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=()))
            origin, given = {"Origin": f"https://localhost:{app.port}"}, {"key": "studio-key"}
            assert (
                await http.post("/sign-in", data=given, headers={"Origin": f"http://localhost:{app.port}"})
            ).is_error
            answer = await http.post("/sign-in", data=given, headers=origin)
            [(name, morsel)] = SimpleCookie(answer.headers["set-cookie"]).items()
            assert (answer.status_code, name, morsel["secure"], morsel["path"]) == (
                303,
                "__Host-i2v_session",
                True,
                "/",
            )
            for sent, status in ((name, 200), ("i2v_session", 401)):
                headers = {"Cookie": f"{sent}={morsel.value}", "Sec-Fetch-Site": "same-origin"}
                assert (await http.get("/v1/jobs", headers=headers)).status_code == status
