"""WebhookService: endpoints of a tenant that get its events, for the tenant's admins."""

from dataclasses import dataclass
from datetime import datetime

import grpc
from i2v.v1 import webhook_pb2, webhook_pb2_grpc

from services.orchestrator.api import page_tokens, proto_values, webhook_messages, webhook_requests
from services.orchestrator.api.acting import Acting, tenant_of
from services.orchestrator.api.webhook_requests import UrlRules
from services.orchestrator.domain import webhook
from services.orchestrator.domain.webhook import EndpointKey, NewEndpoint
from services.orchestrator.ports.webhooks import Endpoints
from services.reasons import RequestReason

REPLAYED_MOST = 10_000
"""Dead deliveries that one call sends again, at most."""


@dataclass(frozen=True, slots=True)
class WebhookService(webhook_pb2_grpc.WebhookServiceServicer):
    """Answers the RPCs of webhook.proto."""

    endpoints: Endpoints
    acting: Acting
    rules: UrlRules

    async def CreateEndpoint(
        self, request: webhook_pb2.CreateEndpointRequest, context: grpc.ServicerContext
    ) -> webhook_pb2.CreateEndpointResponse:
        """Makes an endpoint."""
        tenant = tenant_of("")
        key = EndpointKey(tenant, proto_values.request_id(request.request_id))
        async with self.acting.change("CreateEndpoint", f"webhooks/{key.id}", "", tenant=tenant) as act:
            self.rules.demand(request.url)
            webhook.demand_description(request.description)
            types = webhook.event_types(tuple(request.event_types))
            new = NewEndpoint(key=key, url=request.url, event_types=types, description=request.description)
            made, secret = await self.endpoints.create(new, act)
        return webhook_pb2.CreateEndpointResponse(endpoint=webhook_messages.endpoint(made), secret=secret)

    async def GetEndpoint(
        self, request: webhook_pb2.GetEndpointRequest, context: grpc.ServicerContext
    ) -> webhook_pb2.WebhookEndpoint:
        """Returns an endpoint, with the numbers of what has not arrived."""
        found = await self.endpoints.get(_key(request.name))
        return webhook_messages.endpoint(found, await self.endpoints.undelivered(found.number))

    async def ListEndpoints(
        self, request: webhook_pb2.ListEndpointsRequest, context: grpc.ServicerContext
    ) -> webhook_pb2.ListEndpointsResponse:
        """Returns a page of the tenant's endpoints."""
        tenant, size = tenant_of(""), proto_values.page_size(request.page_size)
        bound = ["webhooks", tenant]
        found = await self.endpoints.page(tenant, webhook_requests.before(request.page_token, bound), size + 1)
        token = page_tokens.encode([str(found[size - 1].number)], bound) if len(found) > size else ""
        listed = map(webhook_messages.endpoint, found[:size])
        return webhook_pb2.ListEndpointsResponse(endpoints=listed, next_page_token=token)

    async def UpdateEndpoint(
        self, request: webhook_pb2.UpdateEndpointRequest, context: grpc.ServicerContext
    ) -> webhook_pb2.WebhookEndpoint:
        """Changes the fields of an endpoint that the mask names."""
        key = _key(request.endpoint.name, "endpoint.name")
        async with self.acting.change("UpdateEndpoint", request.endpoint.name, "", tenant=key.tenant) as act:
            decide = webhook_requests.changes(request, self.rules)
            return webhook_messages.endpoint(await self.endpoints.change(key, decide, act))

    async def DeleteEndpoint(
        self, request: webhook_pb2.DeleteEndpointRequest, context: grpc.ServicerContext
    ) -> webhook_pb2.DeleteEndpointResponse:
        """Deletes an endpoint."""
        key = _key(request.name)
        async with self.acting.change("DeleteEndpoint", request.name, "", tenant=key.tenant) as act:
            await self.endpoints.delete(key, act)
        return webhook_pb2.DeleteEndpointResponse()

    async def RotateSecret(
        self, request: webhook_pb2.RotateSecretRequest, context: grpc.ServicerContext
    ) -> webhook_pb2.RotateSecretResponse:
        """Gives an endpoint another secret."""
        key = _key(request.name)
        async with self.acting.change("RotateSecret", request.name, "", tenant=key.tenant) as act:
            request_id, overlap = proto_values.request_id(request.request_id), webhook_requests.overlap(request)
            after, secret = await self.endpoints.rotate(key, request_id, overlap, act)
        return webhook_pb2.RotateSecretResponse(endpoint=webhook_messages.endpoint(after), secret=secret)

    async def TestEndpoint(
        self, request: webhook_pb2.TestEndpointRequest, context: grpc.ServicerContext
    ) -> webhook_pb2.WebhookDelivery:
        """Sends a test to an endpoint."""
        key = _key(request.name)
        async with self.acting.change("TestEndpoint", request.name, "", tenant=key.tenant) as act:
            return webhook_messages.delivery(key, await self.endpoints.test(key, act))

    async def ListDeliveries(
        self, request: webhook_pb2.ListDeliveriesRequest, context: grpc.ServicerContext
    ) -> webhook_pb2.ListDeliveriesResponse:
        """Returns a page of an endpoint's deliveries."""
        key, size = _key(request.parent, "parent"), proto_values.page_size(request.page_size)
        state = webhook_messages.DELIVERY_STATES.get(request.state)
        if state is None and request.state:
            raise proto_values.refuse("state", "is not one of the states", RequestReason.INVALID_VALUE)
        bound = ["deliveries", key.tenant, key.id, str(request.state)]
        before = webhook_requests.before(request.page_token, bound)
        found = await self.endpoints.deliveries(key, state, before, size + 1)
        token = page_tokens.encode([str(found[size - 1].number)], bound) if len(found) > size else ""
        listed = [webhook_messages.delivery(key, each) for each in found[:size]]
        return webhook_pb2.ListDeliveriesResponse(deliveries=listed, next_page_token=token)

    async def ReplayDeliveries(
        self, request: webhook_pb2.ReplayDeliveriesRequest, context: grpc.ServicerContext
    ) -> webhook_pb2.ReplayDeliveriesResponse:
        """Sends deliveries again."""
        key = _key(request.parent, "parent")
        async with self.acting.change("ReplayDeliveries", request.parent, "", tenant=key.tenant) as act:
            which = webhook_requests.replayed(request, key.id)
            if isinstance(which, datetime):
                count = await self.endpoints.replay_dead(key, which, act, limit=REPLAYED_MOST)
            else:
                count = await self.endpoints.replay(key, which, act)
        return webhook_pb2.ReplayDeliveriesResponse(replayed=count)


def _key(name: str, field: str = "name") -> EndpointKey:
    """Returns the endpoint that a request names, of the caller's tenant. Raises InvalidInput."""
    return EndpointKey(tenant_of(""), proto_values.resource_id(name, "webhooks", field=field))
