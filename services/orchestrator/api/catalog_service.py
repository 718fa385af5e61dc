"""CatalogService: the model cards."""

import re
from collections.abc import Callable
from dataclasses import asdict, dataclass

import grpc
from i2v.v1 import catalog_pb2, catalog_pb2_grpc

from services.orchestrator.api import proto_values
from services.orchestrator.api.spec_messages import QUALITY_OF
from services.orchestrator.domain.card import ModelCard
from services.orchestrator.domain.catalog import Catalog
from services.orchestrator.domain.remote import ANY, Remote
from services.orchestrator.domain.spec import ImageToVideo, SceneAnimation, TalkingAvatar, TextToVideo
from services.orchestrator.worker.availability import VendorAvailability
from services.reasons import RequestReason

CARD_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
"""The content of a page token: the last model of the previous page."""

OPERATIONS = {
    ImageToVideo.kind: catalog_pb2.Model.IMAGE_TO_VIDEO,
    TextToVideo.kind: catalog_pb2.Model.TEXT_TO_VIDEO,
    SceneAnimation.kind: catalog_pb2.Model.SCENE_ANIMATION,
    TalkingAvatar.kind: catalog_pb2.Model.TALKING_AVATAR,
}

AVAILABILITIES = {
    "available": catalog_pb2.Model.Remote.AVAILABLE,
    "broken": catalog_pb2.Model.Remote.BROKEN,
    "no-key": catalog_pb2.Model.Remote.NO_KEY,
    "no-credit": catalog_pb2.Model.Remote.NO_CREDIT,
    "unreachable": catalog_pb2.Model.Remote.UNREACHABLE,
}


@dataclass(frozen=True, slots=True)
class CatalogService(catalog_pb2_grpc.CatalogServiceServicer):
    """Answers the RPCs of catalog.proto."""

    catalog: Callable[[], Catalog]
    """Returns the catalog that holds now."""
    vendors: VendorAvailability
    drained: Callable[[str], bool]
    """Whether operators have drained a backend."""

    async def ListModels(
        self, request: catalog_pb2.ListModelsRequest, context: grpc.ServicerContext
    ) -> catalog_pb2.ListModelsResponse:
        """Returns a page of the catalog."""
        after = request.page_token
        if after and not CARD_ID.fullmatch(after):
            raise proto_values.refuse(
                "page_token", "is not one that this method gave", RequestReason.PAGE_TOKEN_MALFORMED
            )
        cards = [card for card in self.catalog() if card.id > after]
        size = proto_values.page_size(request.page_size) if request.page_size else len(cards)
        listed = [self._model(card) for card in cards[:size]]
        shown = proto_values.fitting(listed)
        token = cards[shown - 1].id if shown < len(cards) else ""
        return catalog_pb2.ListModelsResponse(models=listed[:shown], next_page_token=token)

    async def GetModel(self, request: catalog_pb2.GetModelRequest, context: grpc.ServicerContext) -> catalog_pb2.Model:
        """Returns one model."""
        return self._model(self.catalog().card(proto_values.resource_id(request.name, "models")))

    def _model(self, card: ModelCard) -> catalog_pb2.Model:
        model = _model(card)
        model.drained = self.drained(card.backend)
        if card.remote is not None and (availability := self.vendors.of(card.backend)) is not None:
            model.remote.availability = AVAILABILITIES[availability.state]
            model.remote.availability_reason, model.remote.simulation = availability.reason, availability.simulation
            if card.remote.model in availability.lacking:
                model.remote.availability = catalog_pb2.Model.Remote.UNREACHABLE
                model.remote.availability_reason = "The provider does not know this model."
        return model


def _model(card: ModelCard) -> catalog_pb2.Model:
    model = catalog_pb2.Model(
        name=f"models/{card.id}",
        display_name=card.display_name,
        description=card.description,
        operations=[OPERATIONS[operation] for operation in card.operations],
        sizes=[proto_values.size(size) for size in card.sizes],
        durations=[proto_values.duration(ms) for ms in card.durations_ms],
        fps=card.fps,
        prompt_max_characters=card.prompt_max_characters,
        default_timeout=proto_values.duration(card.default_timeout_ms),
        qualities=[QUALITY_OF[quality] for quality in card.qualities],
        durations_by_operation=[
            catalog_pb2.Model.OperationDurations(
                operation=OPERATIONS[kind], durations=[proto_values.duration(ms) for ms in durations]
            )
            for kind, durations in card.durations_ms_by_operation.items()
        ],
    )
    if card.remote is None:
        model.price_per_second.CopyFrom(proto_values.money(card.price_per_second_micros))
    else:
        model.remote.CopyFrom(_remote(card.backend, card.remote))
    if card.engine is not None:
        model.engine.CopyFrom(catalog_pb2.Model.Engine(**asdict(card.engine)))
    return model


def _remote(provider: str, remote: Remote) -> catalog_pb2.Model.Remote:
    result = catalog_pb2.Model.Remote(
        provider=provider,
        capability=remote.capability,
        resolutions=remote.resolutions,
        takes=sorted(remote.takes),
        prices=[
            catalog_pb2.Model.Remote.Price(
                resolution="" if resolution == ANY else resolution,
                per_second=proto_values.money(tariff.per_second_micros),
                per_run=proto_values.money(tariff.per_run_micros),
            )
            for resolution, tariff in remote.prices.items()
        ],
        price_as_of=remote.price_as_of.isoformat(),
        billed_seconds_min=remote.billed_s[0],
        billed_seconds_max=remote.billed_s[1],
        deprecate_date=remote.deprecate_date.isoformat() if remote.deprecate_date else "",
        retire_date=remote.retire_date.isoformat() if remote.retire_date else "",
        successor=f"models/{remote.successor}" if remote.successor else "",
        negative_prompt_max_characters=remote.negative_prompt_max_characters,
    )
    if "audio" in remote.takes:
        result.audio_min.CopyFrom(proto_values.duration(round(remote.audio_s[0] * 1000)))
        result.audio_max.CopyFrom(proto_values.duration(round(remote.audio_s[1] * 1000)))
    return result
