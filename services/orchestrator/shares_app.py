"""The services of shares: for those who make them, and for those who read them."""

from datetime import timedelta

import grpc
from i2v.v1 import share_pb2_grpc, shared_pb2_grpc

from services.orchestrator.api.authentication import Authentication
from services.orchestrator.api.share_service import ShareService
from services.orchestrator.api.shared_service import SharedService
from services.orchestrator.assets.pass_phrases import PassPhrases
from services.orchestrator.assets.shared_links import SharedLinks
from services.orchestrator.assets.shares import Sharing
from services.orchestrator.resources import Resources
from services.orchestrator.settings import Settings
from services.rpc.server import Registration


def open_shares(settings: Settings, resources: Resources, callers: Authentication) -> Registration:
    """Returns the services for a server."""
    store, clock, pass_phrases = resources.store, resources.clock, PassPhrases()
    usual, longest = timedelta(days=settings.share_days), timedelta(days=settings.share_days_most)
    sharing = Sharing(store.shares, pass_phrases, clock, usual, longest)
    links = SharedLinks(store.shares, resources.renditions, store.service_secrets, pass_phrases, clock, resources.meter)
    shares = ShareService(store.shares, sharing, callers, clock, settings.studio_url)
    shared = SharedService(links, resources.blobs, resources.read_counts)

    def register(server: grpc.aio.Server) -> None:
        share_pb2_grpc.add_ShareServiceServicer_to_server(shares, server)
        shared_pb2_grpc.add_SharedServiceServicer_to_server(shared, server)

    return register
