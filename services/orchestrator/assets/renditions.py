"""Renditions on demand: each is made once, by one of all processes, and then read like any blob."""

import asyncio
import logging
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from services.errors import InvalidInput, PreconditionFailed, Unavailable, Violation
from services.orchestrator.domain.asset import Asset
from services.orchestrator.domain.rendition import Recipe, Rendition, Variant, made_from, recipe_of, rendition_key
from services.orchestrator.ports.assets import Assets
from services.orchestrator.ports.blobs import Blobs
from services.orchestrator.ports.clock_and_ids import Clock
from services.orchestrator.ports.disk_space import Room, any_room
from services.orchestrator.ports.library_meter import LibraryMeter
from services.orchestrator.ports.renditions import NotMade, RenditionMaker, Renditions, SignRenditions, unsigned
from services.reasons import LibraryReason, ServiceReason
from services.resource_shortage import shortage
from services.tracing import spans

WAIT_S = 60.0
"""So long a call waits for a rendition that another one is making."""
LOOK_S, LOOK_MOST_S = 0.03, 1.0
"""Between two looks whether it is made: at first, and at most."""
RENEW_S = 5.0
BATCH_BYTES = 1 << 20

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class OnDemandRenditions:
    """Gives renditions of assets, and makes those that are missing."""

    renditions: Renditions
    maker: RenditionMaker
    assets: Assets
    blobs: Blobs
    clock: Clock
    meter: LibraryMeter
    spool: Path
    """A folder on a local disk."""
    room: Room = any_room
    sign: SignRenditions = unsigned
    wait_s: float = WAIT_S
    renew_s: float = RENEW_S

    async def get(self, asset: Asset, name: str) -> Rendition:
        """Returns a rendition of an asset that the caller may read; it is made if it is missing.

        Raises:
            InvalidInput: such an asset has no variant of this name.
            PreconditionFailed: it cannot be made from this file.
            NotFound: the asset was deleted meanwhile.
            Unavailable: it takes too long, or something that is needed does not answer.
        """
        variant, recipe = _named(name, asset)
        pause, end = LOOK_S, asyncio.get_running_loop().time() + self.wait_s
        while True:
            match await self.renditions.find(asset.tenant, asset.sha256, variant):
                case Rendition() as found:
                    return found
                case NotMade() as why:
                    raise _failed(variant, why)
            claim = await self.renditions.claim(asset, made_from(asset.info)[recipe])
            if claim is not None:
                await self._make(asset, recipe, claim)
                continue
            if asyncio.get_running_loop().time() > end:
                raise Unavailable(
                    f"The {variant} is still being made. Try again.", reason=ServiceReason.DECODER_UNAVAILABLE
                )
            await asyncio.sleep(pause)
            pause = min(2 * pause, LOOK_MOST_S)
            await self.assets.get(asset.sha256, tenant=asset.tenant, user=asset.user)  # it may be deleted meanwhile

    async def remove(self, tenant: str, sha256: str) -> int:
        """Removes all renditions of bytes that no user of the tenant has any more, and returns their number.

        May be called again after it was interrupted anywhere. A maker that runs meanwhile finds its claim ended, and
        removes what it has stored.
        """
        variants = await self.renditions.withdraw(tenant, sha256)
        # Also those without a row: a copy to another store may have brought one back.
        for variant in Variant:
            await self.blobs.delete(rendition_key(tenant, sha256, variant))
        await self.renditions.forget(tenant, sha256)
        return len(variants)

    async def _make(self, asset: Asset, recipe: Recipe, claim: str) -> None:
        """Makes what is claimed. A failure of the file is recorded; any other gives the claim back and is raised."""
        began, variants = self.clock.now(), made_from(asset.info)[recipe]
        try:
            async with self._renewed(claim):
                with spans.begin("rendition", {"i2v.recipe": recipe.value}):
                    await self._store(asset, recipe, claim)
        except NotMade as why:
            log.info("a rendition cannot be made", extra={"recipe": recipe.value, "cause": str(why)})
            await self.renditions.fail(claim, str(why))
            self.meter.renditions_failed(variants)
        except BaseException as error:
            await asyncio.shield(self.renditions.release(claim))
            if isinstance(error, OSError):
                raise shortage(error) or Unavailable(
                    "The asset cannot be spooled. Try again.", reason=ServiceReason.SPOOL_UNAVAILABLE
                ) from error
            raise
        else:
            self.meter.renditions_made(recipe, variants, (self.clock.now() - began).total_seconds())

    async def _store(self, asset: Asset, recipe: Recipe, claim: str) -> None:
        self.room(asset.size_bytes)
        with tempfile.TemporaryDirectory(prefix="rendition-", dir=self.spool, ignore_cleanup_errors=True) as folder:
            source = Path(folder) / "source"
            await self._fetch(asset, source)
            made = await self.maker.make(recipe, source, asset.info, Path(folder), tenant=asset.tenant)
            made = await self.sign(asset, made)
            if not await self.renditions.renew(claim):
                return  # another maker's files, which differ in their signatures, stay as they were read
            keys = {rendition_key(asset.tenant, asset.sha256, each.variant): (each, path) for each, path in made.files}
            await asyncio.gather(
                *(self.blobs.put_file(key, path, media_type=each.media_type) for key, (each, path) in keys.items())
            )
        if await self.renditions.finish(claim, tuple(each for each, _ in made.files), made.phash):
            return
        # The claim was lost: to another maker, which stores as many bytes, or because the asset was removed.
        if not await self.renditions.wanted(asset.tenant, asset.sha256):
            await asyncio.gather(*map(self.blobs.delete, keys))

    async def _fetch(self, asset: Asset, path: Path) -> None:
        with path.open("wb", buffering=0) as file:
            batch = bytearray()
            async for chunk in self.blobs.read(asset.key):
                batch += chunk
                if len(batch) >= BATCH_BYTES:
                    await asyncio.to_thread(file.write, batch)
                    batch = bytearray()
            await asyncio.to_thread(file.write, batch)

    @asynccontextmanager
    async def _renewed(self, claim: str) -> AsyncIterator[None]:
        """Keeps a claim while the block runs."""

        async def renew() -> None:
            while True:
                await asyncio.sleep(self.renew_s)
                try:
                    await self.renditions.renew(claim)
                except Unavailable:
                    log.warning("the claim of a rendition cannot be renewed now")

        renewing = asyncio.create_task(renew(), name="rendition-claim")
        try:
            yield
        finally:
            renewing.cancel()


def _named(name: str, asset: Asset) -> tuple[Variant, Recipe]:
    variants = [variant for each in made_from(asset.info).values() for variant in each]
    listed = f"it has {', '.join(variants)}"
    try:
        variant = Variant(name)
    except ValueError:
        raise _refuse(f"there is no variant {name[:40]!r}; {listed}", LibraryReason.RENDITION_UNKNOWN) from None
    recipe = recipe_of(variant, asset.info)
    if recipe is None:
        what = f"an asset of type {asset.info.media_type} has no {variant}"
        raise _refuse(f"{what}; {listed}", LibraryReason.RENDITION_UNSUPPORTED)
    return variant, recipe


def _refuse(description: str, reason: LibraryReason) -> InvalidInput:
    return InvalidInput([Violation("variant", description, reason)], reason=reason)


def _failed(variant: Variant, why: NotMade) -> PreconditionFailed:
    what = f"The {variant} of this asset cannot be made: {why}. The asset itself can be read."
    return PreconditionFailed(what, reason=LibraryReason.RENDITION_FAILED, metadata={"variant": variant})
