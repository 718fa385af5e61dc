"""The service of webhooks, for the admins of tenants."""

import grpc
from i2v.v1 import webhook_pb2_grpc

from services.orchestrator.api.acting import Acting
from services.orchestrator.api.webhook_requests import UrlRules
from services.orchestrator.api.webhook_service import WebhookService
from services.orchestrator.resources import Resources
from services.orchestrator.settings import Settings
from services.outbound.public_addresses import is_public_address
from services.rpc.server import Registration


def open_webhooks(settings: Settings, resources: Resources) -> Registration:
    """Returns the service for a server."""
    store = resources.store
    acting = Acting(resources.clock, store.audit_log, resources.meter)
    rules = UrlRules(is_public_address, settings.webhook_hosts())
    webhooks = WebhookService(store.webhook_endpoints, acting, rules)

    def register(server: grpc.aio.Server) -> None:
        webhook_pb2_grpc.add_WebhookServiceServicer_to_server(webhooks, server)

    return register
