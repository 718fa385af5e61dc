"""Checks files of unknown origin, in turns, on threads of their own."""

from collections.abc import Callable
from pathlib import Path

from services.errors import InvalidUpload
from services.orchestrator.domain.content_credentials import Credentials
from services.orchestrator.media.content_credentials import AT_ONCE, ContentCredentials
from services.orchestrator.media.fair_thread_pool import FairThreadPool

FindMark = Callable[[Path], bool]
"""Whether the pixels of a video carry the mark. Blocking. Raises InvalidUpload when it is no video."""


class SandboxedChecks:
    """The FileChecks port, over child processes."""

    def __init__(self, credentials: ContentCredentials, find_mark: FindMark | None = None) -> None:
        """Without `find_mark` no mark is looked for."""
        self._credentials = credentials
        self._find_mark = find_mark
        self._threads = FairThreadPool(AT_ONCE, "credentials")

    async def credentials(self, path: Path, *, tenant: str) -> Credentials:
        """Checks the manifest of a file of any kind. Raises Unavailable."""
        return await self._threads.run(tenant, lambda: self._credentials.read(path))

    async def pixel_mark(self, path: Path, *, tenant: str) -> bool | None:
        """Whether the pixels of a video carry the mark; None if it cannot be decoded. Raises Unavailable."""
        find = self._find_mark
        if find is None:
            return None
        try:
            return await self._threads.run(tenant, lambda: find(path))
        except InvalidUpload:
            return None
