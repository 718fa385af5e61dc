"""Operations that are no transcoded RPC, described by hand: a file for each part of the API, with its `PART`."""

from tools.openapi.operation import Part
from tools.openapi.operations import description, media, models, shares, videos

PARTS: tuple[Part, ...] = (videos.PART, models.PART, media.PART, shares.PART, description.PART)
"""In the order of the document."""
