"""Endpoints of webhooks, for the admins of a tenant. What a receiver needs is in `webhook_verification`."""

import uuid
from collections.abc import AsyncGenerator, Iterable
from datetime import datetime, timedelta

from google.protobuf.field_mask_pb2 import FieldMask
from i2v.v1 import webhook_pb2, webhook_pb2_grpc

from i2v_client import pages
from i2v_client.service_channel import ServiceChannel

Delivery = webhook_pb2.WebhookDelivery


class Webhooks:
    """Endpoints and their deliveries. Every method raises I2VError."""

    def __init__(self, channel: ServiceChannel) -> None:
        self._channel = channel
        self._webhooks = webhook_pb2_grpc.WebhookServiceStub(channel.grpc)

    async def create(
        self, url: str, event_types: Iterable[str] = (), *, description: str = ""
    ) -> webhook_pb2.CreateEndpointResponse:
        """Returns a new endpoint with its secret, which cannot be shown again. Default: all events but fragments."""
        request = webhook_pb2.CreateEndpointRequest(url=url, event_types=event_types, description=description)
        while True:
            request.request_id = str(uuid.uuid4())
            made = await self._channel.call(self._webhooks.CreateEndpoint, request)
            if made.secret:
                return made
            await self.delete(made.endpoint.name)  # the first answer was lost on its way, and the secret with it

    async def get(self, name: str) -> webhook_pb2.WebhookEndpoint:
        """Returns an endpoint, with the numbers of what has not arrived."""
        return await self._channel.call(self._webhooks.GetEndpoint, webhook_pb2.GetEndpointRequest(name=name))

    def endpoints(self) -> AsyncGenerator[webhook_pb2.WebhookEndpoint, None]:
        """Yields the tenant's endpoints, the newest first."""
        request = webhook_pb2.ListEndpointsRequest(page_size=200)
        return pages.each(self._channel.call, self._webhooks.ListEndpoints, request, "endpoints")

    async def update(self, endpoint: webhook_pb2.WebhookEndpoint, fields: Iterable[str]) -> webhook_pb2.WebhookEndpoint:
        """Changes fields, such as `url` and `state`, to the values that they have in `endpoint`."""
        request = webhook_pb2.UpdateEndpointRequest(endpoint=endpoint, update_mask=FieldMask(paths=fields))
        return await self._channel.call(self._webhooks.UpdateEndpoint, request)

    async def delete(self, name: str) -> None:
        """Deletes an endpoint. What waits for it is not sent."""
        await self._channel.call(self._webhooks.DeleteEndpoint, webhook_pb2.DeleteEndpointRequest(name=name))

    async def rotate(self, name: str, overlap: timedelta | None = None) -> webhook_pb2.RotateSecretResponse:
        """Returns an endpoint with its new secret, which cannot be shown again.

        The secret before signs too for the overlap, by default a day.
        """
        request = webhook_pb2.RotateSecretRequest(name=name, request_id=str(uuid.uuid4()))
        if overlap is not None:
            request.overlap.FromTimedelta(overlap)
        return await self._channel.call(self._webhooks.RotateSecret, request)

    async def test(self, name: str) -> Delivery:
        """Sends an event `webhook.test` to an endpoint."""
        return await self._channel.call(self._webhooks.TestEndpoint, webhook_pb2.TestEndpointRequest(name=name))

    def deliveries(
        self, name: str, state: "Delivery.State.ValueType" = Delivery.STATE_UNSPECIFIED
    ) -> AsyncGenerator[Delivery, None]:
        """Yields deliveries of an endpoint, the newest first; those that are DEAD are the dead letters."""
        request = webhook_pb2.ListDeliveriesRequest(parent=name, state=state, page_size=200)
        return pages.each(self._channel.call, self._webhooks.ListDeliveries, request, "deliveries")

    async def replay(self, name: str, deliveries: Iterable[str] = (), *, dead_since: datetime | None = None) -> int:
        """Sends deliveries again under their ids, those of the names or the dead ones, and returns their number."""
        request = webhook_pb2.ReplayDeliveriesRequest(parent=name, deliveries=deliveries)
        if dead_since is not None:
            request.since.FromDatetime(dead_since)
        return (await self._channel.call(self._webhooks.ReplayDeliveries, request)).replayed
