"""The assembly: a running prompt writer out of its settings."""

import asyncio
import hmac
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from i2v.provider.v1 import prompt_pb2_grpc
from prometheus_client import REGISTRY, CollectorRegistry

from services.errors import Unauthenticated
from services.providers.prompt.llm import OpenAiLlm, Sleep
from services.providers.prompt.memory import Memory
from services.providers.prompt.service import PromptService
from services.providers.prompt.settings import Settings
from services.providers.prompt.writer import Writer
from services.rpc.auth import Verify
from services.rpc.server import CannotListenError, RpcServer, Tls, serve
from services.rpc.telemetry import serve_metrics

SERVICE = "i2v.provider.v1.PromptWriter"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class App:
    """A running prompt writer."""

    server: RpcServer
    metrics_port: int
    """0: there are none."""


@asynccontextmanager
async def open_app(
    settings: Settings, *, registry: CollectorRegistry = REGISTRY, sleep: Sleep = asyncio.sleep
) -> AsyncIterator[App]:
    """Starts a prompt writer; leaving the block drains and stops it. `sleep` is what it waits with between two calls.

    Raises:
        CannotListenError: an address is taken, or cannot be had.
    """
    async with AsyncExitStack() as stack:
        endpoint = settings.endpoint()
        llm = OpenAiLlm(endpoint, sleep=sleep) if endpoint is not None else None
        if llm is not None:
            stack.push_async_callback(llm.close)
        metrics_port = _serve_metrics(settings.metrics_listen, registry, stack) if settings.metrics_listen else 0
        memory = Memory()
        stack.push_async_callback(memory.close)
        service = PromptService(Writer(llm, settings.price(), patience_s=settings.llm_patience_s), memory)
        server = await serve(
            settings.listen,
            [lambda server: prompt_pb2_grpc.add_PromptWriterServicer_to_server(service, server)],
            services=[SERVICE],
            registry=registry,
            verify=_verify(settings.access_secret()),
            reflect=settings.reflection,
            tls=_tls(settings),
            max_concurrent_calls=settings.max_calls,
        )
        stack.push_async_callback(server.drain, settings.drain_s, settings.drain_delay_s)
        log.info(
            "ready",
            extra={"port": server.port, "metrics_port": metrics_port, "llm": endpoint.model if endpoint else ""},
        )
        yield App(server, metrics_port)
        log.info("stopping")


def _serve_metrics(listen: str, registry: CollectorRegistry, stack: AsyncExitStack) -> int:
    host, _, port = listen.rpartition(":")
    try:
        metrics_port, close = serve_metrics(int(port), registry, host)
    except OSError as error:
        raise CannotListenError(f"cannot listen on {listen}: {error.strerror}") from error
    stack.callback(close)
    return metrics_port


def _verify(secret: str) -> Verify | None:
    if not secret:
        return None

    async def verify(token: str) -> str:
        if not hmac.compare_digest(token.encode(), secret.encode()):
            raise Unauthenticated("This key is not known.", reason="API_KEY_UNKNOWN")
        return "orchestrator"

    return verify


def _tls(settings: Settings) -> Tls | None:
    if not settings.tls_cert_file:
        return None
    return Tls(cert_file=Path(settings.tls_cert_file), key_file=Path(settings.tls_key_file))
