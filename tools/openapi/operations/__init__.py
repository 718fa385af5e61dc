"""Operations that are no transcoded RPC, described by hand: a file for each part of the API, with its `PART`."""

from tools.openapi.operation import Part
from tools.openapi.operations import description, live, media, models, shares, sign_in, streams, uploads, videos

PARTS: tuple[Part, ...] = (
    streams.PART,
    uploads.PART,
    videos.PART,
    live.PART,
    models.PART,
    media.PART,
    shares.PART,
    sign_in.PART,
    description.PART,
)
"""In the order of the document."""
