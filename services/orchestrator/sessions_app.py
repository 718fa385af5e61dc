"""The service of sessions."""

import grpc
from i2v.v1 import session_pb2_grpc

from services.orchestrator.api.authentication import Authentication
from services.orchestrator.api.session_service import SessionService
from services.orchestrator.resources import Resources
from services.orchestrator.settings import Settings
from services.rpc.server import Registration


def open_sessions(settings: Settings, resources: Resources, callers: Authentication) -> Registration:
    """Returns the service for a server."""
    sessions = SessionService(resources.store.sessions, callers, resources.clock, settings.studio_url)

    def register(server: grpc.aio.Server) -> None:
        session_pb2_grpc.add_SessionServiceServicer_to_server(sessions, server)

    return register
