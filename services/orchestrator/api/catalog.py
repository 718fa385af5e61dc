"""CatalogService: the model cards."""

from dataclasses import asdict, dataclass

import grpc
from i2v.v1 import catalog_pb2, catalog_pb2_grpc

from services.orchestrator.api import convert
from services.orchestrator.domain.card import ModelCard
from services.orchestrator.domain.catalog import Catalog
from services.orchestrator.domain.spec import ImageToVideo, TextToVideo

OPERATIONS = {
    ImageToVideo.kind: catalog_pb2.Model.IMAGE_TO_VIDEO,
    TextToVideo.kind: catalog_pb2.Model.TEXT_TO_VIDEO,
}


@dataclass(frozen=True, slots=True)
class CatalogService(catalog_pb2_grpc.CatalogServiceServicer):
    """See catalog.proto."""

    catalog: Catalog

    async def ListModels(
        self, request: catalog_pb2.ListModelsRequest, context: grpc.ServicerContext
    ) -> catalog_pb2.ListModelsResponse:
        """See catalog.proto."""
        return catalog_pb2.ListModelsResponse(models=[_model(card) for card in self.catalog])

    async def GetModel(self, request: catalog_pb2.GetModelRequest, context: grpc.ServicerContext) -> catalog_pb2.Model:
        """See catalog.proto."""
        return _model(self.catalog.card(convert.resource_id(request.name, "models")))


def _model(card: ModelCard) -> catalog_pb2.Model:
    model = catalog_pb2.Model(
        name=f"models/{card.id}",
        display_name=card.display_name,
        description=card.description,
        operations=[OPERATIONS[operation] for operation in card.operations],
        sizes=[convert.size(size) for size in card.sizes],
        durations=[convert.duration(ms) for ms in card.durations_ms],
        fps=card.fps,
        prompt_max_characters=card.prompt_max_characters,
        price_per_second=convert.money(card.price_per_second_micros),
        default_timeout=convert.duration(card.default_timeout_ms),
        qualities=[convert.QUALITY_OF[quality] for quality in card.qualities],
        durations_by_operation=[
            catalog_pb2.Model.OperationDurations(
                operation=OPERATIONS[kind], durations=[convert.duration(ms) for ms in durations]
            )
            for kind, durations in card.durations_ms_by_operation.items()
        ],
    )
    if card.engine is not None:
        model.engine.CopyFrom(catalog_pb2.Model.Engine(**asdict(card.engine)))
    return model
