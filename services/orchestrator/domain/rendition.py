"""Renditions: small pictures and previews made from an asset, each once, next to its bytes."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from services.orchestrator.domain.asset import Asset
from services.orchestrator.domain.media_info import AudioInfo, PictureInfo, VideoInfo

Info = PictureInfo | VideoInfo | AudioInfo


class Variant(StrEnum):
    """What can be made from an asset. The words are part of the API and of blob keys."""

    POSTER = "poster"
    """JPEG: the first frame of a video, in its size."""
    THUMBNAIL_128 = "thumbnail-128"
    """WebP, at most 128 pixels on its longest side; the next two likewise."""
    THUMBNAIL_256 = "thumbnail-256"
    THUMBNAIL_512 = "thumbnail-512"
    PREVIEW = "preview"
    """Animated WebP: a few small frames of a video."""
    STORYBOARD = "storyboard"
    """JPEG: a sheet of tiles, for the time bar of a player."""
    STORYBOARD_VTT = "storyboard.vtt"
    """WebVTT: which tile of the sheet belongs to which time."""
    CONTACT = "contact"
    """PNG: a sheet of frames with their times, for people."""
    WAVEFORM = "waveform"
    """PNG: the peaks of a sound over time."""


class Recipe(StrEnum):
    """What is made together, from one decoding."""

    STILLS = "stills"
    PREVIEW = "preview"
    STORYBOARD = "storyboard"
    CONTACT = "contact"
    WAVEFORM = "waveform"


THUMBNAILS: Mapping[Variant, int] = {
    Variant.THUMBNAIL_128: 128,
    Variant.THUMBNAIL_256: 256,
    Variant.THUMBNAIL_512: 512,
}
"""The longest side of each, in pixels."""

SIGNED = frozenset(
    {
        Variant.POSTER,
        Variant.THUMBNAIL_256,
        Variant.THUMBNAIL_512,
        Variant.PREVIEW,
        Variant.STORYBOARD,
        Variant.CONTACT,
    }
)
"""Those that carry a signed manifest if they show a generated video. The smallest thumbnail would be several times as
large with one.
"""

_OF_PICTURES = {Recipe.STILLS: tuple(THUMBNAILS)}
_OF_VIDEOS = {
    Recipe.STILLS: (Variant.POSTER, *THUMBNAILS),
    Recipe.PREVIEW: (Variant.PREVIEW,),
    Recipe.STORYBOARD: (Variant.STORYBOARD, Variant.STORYBOARD_VTT),
    Recipe.CONTACT: (Variant.CONTACT,),
}
_OF_SOUNDS = {Recipe.WAVEFORM: (Variant.WAVEFORM,)}


@dataclass(frozen=True, slots=True)
class Rendition:
    """What is known of a stored rendition."""

    variant: Variant
    media_type: str
    size_bytes: int
    width: int | None
    """Pixels; None: a text."""
    height: int | None


def made_from(info: Info) -> Mapping[Recipe, tuple[Variant, ...]]:
    """Returns the recipes for an asset, each with its variants."""
    if isinstance(info, PictureInfo):
        return _OF_PICTURES
    return _OF_VIDEOS if isinstance(info, VideoInfo) else _OF_SOUNDS


def recipe_of(variant: Variant, info: Info) -> Recipe | None:
    """Returns the recipe that makes a variant; None: such an asset has none of this variant."""
    return next((recipe for recipe, variants in made_from(info).items() if variant in variants), None)


def stored_as(asset: Asset, rendition: Rendition | None) -> tuple[str, int]:
    """Returns blob key and size of an asset, or of one of its renditions."""
    if rendition is None:
        return asset.key, asset.size_bytes
    return rendition_key(asset.tenant, asset.sha256, rendition.variant), rendition.size_bytes


def rendition_key(tenant: str, sha256: str, variant: Variant) -> str:
    """Returns the blob key of a rendition. Like the asset's bytes, it belongs to all users of the tenant."""
    return f"tenants/{tenant}/renditions/{sha256}.{variant}"


RENDITION_KEY = re.compile(r"tenants/([^/]+)/renditions/([0-9a-f]{64})\..+")


def asset_of_rendition(key: str) -> tuple[str, str] | None:
    """Returns the tenant and the SHA-256 of the asset that a rendition of this key belongs to; None: no such key."""
    found = RENDITION_KEY.fullmatch(key)
    return (found[1], found[2]) if found else None
