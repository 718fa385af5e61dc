"""Shares, and what they show."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from services.orchestrator.domain.share import NewShare, Share, ShareKey
from services.orchestrator.domain.shared import SharedAsset, SharedPage, SharedPlace


class Shares(Protocol):
    """The shares of all users. Every method raises services.errors.Unavailable if the database cannot be reached."""

    async def find(self, key: ShareKey) -> Share | None:
        """Returns a share, open or not; None if its user has no such share, or what it shared is deleted for good."""

    async def create(self, new: NewShare) -> tuple[Share, bool]:
        """Makes a share, and counts it for its asset. Returns it, and whether it is new; an earlier one stays.

        Raises NotFound if the target is missing or in the trash, PreconditionFailed if the user has too many.
        """

    async def page(
        self, tenant: str, user: str, before: int | None, limit: int, *, open_at: datetime | None = None
    ) -> Sequence[Share]:
        """Returns shares of a user with lower numbers than `before`, the newest first; only those open at a time."""

    async def revoke(self, key: ShareKey, now: datetime) -> Share:
        """Ends a share, unless it has ended. Returns it. Raises NotFound."""

    async def of_token(self, token_sha256: str) -> Share | None:
        """Returns the share of a token, by its digest; ended ones too. None: no such share of an active tenant."""

    async def shown(
        self, share: Share, now: datetime, *, after: SharedPlace | None = None, limit: int
    ) -> SharedPage | None:
        """Returns what a share shows now; None if it is not open, or its target or tenant is gone."""

    async def asset(self, share: Share, sha256: str, now: datetime) -> SharedAsset | None:
        """Returns an asset that a share shows now; None if it does not, or is not open, or its tenant is gone."""

    async def attempt(self, share: Share, now: datetime) -> datetime | None:
        """Counts an attempt at the pass phrase. Returns None, or when one is possible again: this one is not."""

    async def succeeded(self, share: Share) -> None:
        """An attempt was right: it does not count."""
