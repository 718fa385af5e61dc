"""Signed manifests in files: how they are made and checked."""

from pathlib import Path
from typing import Protocol

from services.orchestrator.domain.content_credentials import Claim, Credentials, Identity


class CannotSign(Exception):
    """The file stays unsigned; the message says why."""


class FileSigner(Protocol):
    """Signs what this installation makes. Blocking."""

    @property
    def identity(self) -> Identity:
        """The certificate that signs."""

    @property
    def version(self) -> str:
        """The version of this program, as manifests say it."""

    def sign(self, path: Path, media_type: str, claim: Claim) -> Path:
        """Writes a file again, signed, next to it, and returns it. Raises CannotSign, Unavailable."""


class FileChecks(Protocol):
    """Checks files of unknown origin, tenants in turns. Every method raises services.errors.Unavailable."""

    async def credentials(self, path: Path, *, tenant: str) -> Credentials:
        """Checks the manifest of a file of any kind."""

    async def pixel_mark(self, path: Path, *, tenant: str) -> bool | None:
        """Whether the pixels of a video carry the mark; None if it is no video that can be decoded."""
