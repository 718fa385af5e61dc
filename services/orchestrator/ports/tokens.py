"""Tokens: JWTs of an issuer that the settings name."""

from datetime import datetime
from typing import Protocol

from services.orchestrator.domain.token_claims import Claims


class Tokens(Protocol):
    """Reads tokens."""

    def read(self, token: str, now: datetime) -> Claims:
        """Returns the claims of a valid token. Raises Unauthenticated; Unavailable while no keys are known."""
