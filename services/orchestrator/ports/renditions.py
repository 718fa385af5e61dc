"""Renditions: what is known of them, and who makes them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from services.orchestrator.domain.asset import Asset
from services.orchestrator.domain.rendition import Info, Recipe, Rendition, Variant


class NotMade(Exception):
    """The recipe cannot be made from this file; trying again does not help. The text says why, for people."""


@dataclass(frozen=True, slots=True)
class Made:
    """What a recipe has made."""

    files: tuple[tuple[Rendition, Path], ...]
    phash: int | None
    """Perceptual hash of the picture, or of the first frame; None: not of this recipe."""


class RenditionMaker(Protocol):
    """Makes renditions in the sandbox."""

    async def make(self, recipe: Recipe, source: Path, info: Info, folder: Path, *, tenant: str) -> Made:
        """Makes the variants of a recipe, as files in `folder`. Raises NotMade, Unavailable."""


class SignRenditions(Protocol):
    """Signs what shows a generated video."""

    async def __call__(self, asset: Asset, made: Made) -> Made:
        """Returns renditions, signed where that is possible. Raises services.errors.Unavailable."""


async def unsigned(asset: Asset, made: Made) -> Made:
    """Leaves all renditions as they are."""
    return made


class Renditions(Protocol):
    """The renditions of all assets. Every method raises services.errors.Unavailable if the database is away."""

    async def find(self, tenant: str, sha256: str, variant: Variant) -> Rendition | NotMade | None:
        """Returns a rendition, or why it could not be made lately; None: it may be made now, or is being made."""

    async def claim(self, asset: Asset, variants: Sequence[Variant]) -> str | None:
        """Claims the making of variants for a while. Returns the claim; None if they are made, or another has it.

        Also None for an asset that is no longer there.
        """

    async def renew(self, claim: str) -> bool:
        """Extends a claim. Returns whether it still holds."""

    async def finish(self, claim: str, made: Sequence[Rendition], phash: int | None) -> bool:
        """Records what a claim has made. Returns False, with nothing recorded, if the claim does not hold."""

    async def fail(self, claim: str, why: str) -> None:
        """Records why a claim has made nothing."""

    async def release(self, claim: str) -> None:
        """Gives up a claim, so that another may take it immediately."""

    async def wanted(self, tenant: str, sha256: str) -> bool:
        """Returns whether any user of the tenant has the asset."""

    async def withdraw(self, tenant: str, sha256: str) -> tuple[Variant, ...]:
        """Ends all claims of a digest. Returns the variants of which bytes may be stored."""

    async def forget(self, tenant: str, sha256: str) -> None:
        """Removes all rows of a digest."""
