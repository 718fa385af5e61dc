"""`/media/{token}`: what a signed URL names, so that browsers show it, seek in it and save it."""

import re
from dataclasses import dataclass
from datetime import UTC
from email.utils import format_datetime

from i2v.v1 import signed_asset_pb2
from starlette.requests import Request
from starlette.responses import Response

from services.content_disposition import content_disposition
from services.studio import byte_range, entity_tag
from services.studio.media_body import MediaBody
from services.studio.metrics import StudioMetrics
from services.studio.refusal import WRONG, of_failure, refusal
from services.studio.signed_assets import ApiError, SignedAssets

TOKEN = re.compile(r"signed\.[A-Za-z0-9_-]{1,8000}\.[A-Za-z0-9_-]{1,100}")
"""Only what may be a signed URL's token goes to the API as a credential."""


@dataclass(frozen=True, slots=True)
class Media:
    """Answers GET and HEAD."""

    assets: SignedAssets
    metrics: StudioMetrics
    stall_s: float

    async def answer(self, request: Request) -> Response:
        """Returns the response."""
        token = request.path_params["token"]
        if not TOKEN.fullmatch(token):
            return refusal(403, WRONG)
        try:
            found = await self.assets.find(token)
        except ApiError as error:
            return of_failure(error.failure)
        digest = found.name.removeprefix("assets/")
        tag = f'"{digest}.{found.variant}"' if found.variant else f'"{digest}"'
        headers = _headers(found, tag)
        if entity_tag.is_known(request.headers.get("if-none-match", ""), tag):
            return Response(None, 304, headers)
        return await self._content(request, token, found, headers, tag)

    async def _content(
        self, request: Request, token: str, found: signed_asset_pb2.SignedAsset, headers: dict[str, str], tag: str
    ) -> Response:
        size, part = found.size_bytes, None
        headers |= {"Content-Disposition": content_disposition(found.download_name)}
        if request.method == "GET" and entity_tag.range_holds(request.headers.get("if-range", ""), tag):
            try:
                part = byte_range.parse(request.headers.get("range", ""), size)
            except byte_range.UnsatisfiableError:
                sentence = f"The file has {size} bytes, and none in this range."
                return refusal(416, sentence, Content_Range=f"bytes */{size}")
        length = part.length if part else size
        headers |= {"Content-Length": str(length)}
        if part:
            headers |= {"Content-Range": f"bytes {part.first}-{part.last}/{size}"}
        if request.method == "HEAD":
            return Response(None, 200, headers, found.media_type)
        chunks = self.assets.read(token, part.first if part else 0, length)
        try:
            # Only with the first bytes is it known that the URL still holds, and that a download is allowed now.
            first = await anext(chunks, b"")
        except ApiError as error:
            return of_failure(error.failure)
        return MediaBody(
            first,
            chunks,
            206 if part else 200,
            headers,
            found.media_type,
            stall_s=self.stall_s,
            sent=self.metrics.sent.inc,
        )


def _headers(found: signed_asset_pb2.SignedAsset, tag: str) -> dict[str, str]:
    return {
        "ETag": tag,
        "Accept-Ranges": "bytes",
        # A cache may keep it for as long as the URL holds.
        "Cache-Control": "private",
        "Expires": format_datetime(found.expire_time.ToDatetime(tzinfo=UTC), usegmt=True),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
    }
