"""The sessions of people."""

from datetime import datetime
from typing import Protocol

from services.orchestrator.domain.session import Session


class Sessions(Protocol):
    """The sessions of all users. Every method raises services.errors.Unavailable if the database cannot be reached."""

    async def create(self, session: Session, sha256: str) -> None:
        """Stores a session, or one that waits for its ticket, with the digest of its token or ticket.

        Ends the oldest of the user, or of the tenant, if there are too many. Raises PreconditionFailed while the user
        is being deleted.
        """

    async def begin(self, ticket_sha256: str, sha256: str, now: datetime) -> Session | None:
        """Begins the session of a ticket, which then has the token of a digest.

        None: the ticket was used, has expired, or was never made.
        """

    async def end(self, sha256: str) -> None:
        """Ends a session; without effect if it has ended."""
