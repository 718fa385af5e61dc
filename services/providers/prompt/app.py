"""The assembly: a running prompt writer out of its settings."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from i2v.provider.v1 import prompt_pb2_grpc
from prometheus_client import REGISTRY, CollectorRegistry

from services.certificates.metrics import CertificateMetrics
from services.certificates.watch import watch as watch_certificates
from services.live_secret import LiveSecret
from services.metrics.endpoint import serve_metrics
from services.providers.prompt.endpoint import Sleep
from services.providers.prompt.metrics import LlmMetrics
from services.providers.prompt.prompt_cache import PromptCache
from services.providers.prompt.prompt_service import PromptService
from services.providers.prompt.settings import Settings
from services.providers.prompt.writer import Writer
from services.readiness import Readiness
from services.rpc import auth
from services.rpc.concurrent_call_limits import CallLimits
from services.rpc.server import RpcServer, serve

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
    settings: Settings,
    *,
    readiness: Readiness | None = None,
    registry: CollectorRegistry = REGISTRY,
    sleep: Sleep = asyncio.sleep,
) -> AsyncIterator[App]:
    """Starts a prompt writer; leaving the block drains and stops it. `sleep` is what it waits with between two calls.

    It is ready as soon as it has started.

    Raises:
        CannotListenError: an address is taken, or cannot be had.
    """
    async with AsyncExitStack() as stack:
        endpoint = settings.endpoint()
        llm = None
        if endpoint is not None:
            from services.providers.prompt.llm import OpenAiLlm  # 17 MB that templates do not need

            llm = OpenAiLlm(endpoint, LlmMetrics(registry), sleep=sleep)
            stack.push_async_callback(llm.close)
        metrics_port = 0
        if settings.metrics_listen:
            metrics_port, close_metrics = serve_metrics(settings.metrics_listen, registry)
            stack.callback(close_metrics)
        memory = PromptCache()
        stack.push_async_callback(memory.close)
        service = PromptService(Writer(llm, settings.price(), timeout_s=settings.llm_patience_s), memory)
        access = LiveSecret("ACCESS_KEY_FILE", settings.access_key_file, settings.access_key.get_secret_value()).text
        certificate = settings.server_certificate(CertificateMetrics(registry))
        watch_certificates(stack, [certificate])
        server = await serve(
            settings.listen,
            [lambda server: prompt_pb2_grpc.add_PromptWriterServicer_to_server(service, server)],
            services=[SERVICE],
            registry=registry,
            verify=auth.one_key(access, "orchestrator") if access() else None,
            reflect=settings.reflection,
            tls=certificate,
            limits=CallLimits(calls=settings.max_calls),
        )
        stack.push_async_callback(server.drain, settings.drain_s, settings.drain_delay_s)
        log.info(
            "ready",
            extra={"port": server.port, "metrics_port": metrics_port, "llm": endpoint.model if endpoint else ""},
        )
        yield App(server, metrics_port)
        log.info("stopping")
