"""What is known of assets; their bytes are in the blob store."""

from typing import Protocol

from services.orchestrator.domain.asset import Asset
from services.orchestrator.domain.caller import Caller
from services.orchestrator.domain.library_details import NO_DETAILS, Details


class Assets(Protocol):
    """The assets of all users. Every method raises services.errors.Unavailable if the database cannot be reached."""

    async def check(self, sha256: str, size_bytes: int, caller: Caller) -> None:
        """Raises QuotaExceeded if an upload of this size would pass a limit of stored bytes now.

        An asset that the user has already always fits.
        """

    async def put(self, asset: Asset, caller: Caller, details: Details = NO_DETAILS) -> Asset:
        """Stores an uploaded asset with its entry in the library, and counts its bytes.

        The one stored first is kept and returned, with its details.

        Raises QuotaExceeded, with nothing stored, if a limit of stored bytes has no room for it.
        """

    async def is_stored(self, sha256: str, *, tenant: str) -> bool:
        """Whether any user of the tenant has such an asset, in any state."""

    async def get(self, sha256: str, *, tenant: str, user: str, also_hidden: bool = False) -> Asset:
        """Returns what is known of an asset if it is this user's. Raises NotFound, also for what is in the trash.

        `also_hidden`: for jobs that were admitted before it came there.
        """
