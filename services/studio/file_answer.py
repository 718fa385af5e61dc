"""FileAnswer: answers GET and HEAD of a file of the API, with ranges and entity tags."""

from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from services.content_disposition import content_disposition
from services.rpc.status_codes import Failure
from services.studio import byte_range, entity_tag
from services.studio.api_error import ApiError
from services.studio.media_body import MediaBody
from services.studio.metrics import StudioMetrics
from services.studio.refusal import refusal


@dataclass(frozen=True, slots=True)
class File:
    """What is known of a file."""

    digest: str
    """Of the asset."""
    variant: str
    """Empty: the asset itself."""
    size_bytes: int
    media_type: str
    download_name: str
    """Under which a browser saves it; empty: it shows the file."""
    headers: Mapping[str, str]
    """How long caches may keep it, and the like."""

    @property
    def tag(self) -> str:
        """Its entity tag, with the quotes."""
        return f'"{self.digest}.{self.variant}"' if self.variant else f'"{self.digest}"'


@dataclass(frozen=True, slots=True)
class FileAnswer:
    """Answers with files."""

    metrics: StudioMetrics
    stall_s: float

    async def answer(
        self,
        request: Request,
        file: File,
        read: Callable[[int, int], AsyncGenerator[bytes, None]],
        refused: Callable[[Failure], Response],
    ) -> Response:
        """Returns the response. `read` yields the bytes from an offset; `refused` answers when the API refuses it."""
        headers = {"ETag": file.tag, "Accept-Ranges": "bytes", "X-Content-Type-Options": "nosniff"} | dict(file.headers)
        headers |= {"Referrer-Policy": "no-referrer"}
        if entity_tag.is_known(request.headers.get("if-none-match", ""), file.tag):
            return Response(None, 304, headers)
        size, part = file.size_bytes, None
        headers |= {"Content-Disposition": content_disposition(file.download_name)}
        if request.method == "GET" and entity_tag.range_holds(request.headers.get("if-range", ""), file.tag):
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
            return Response(None, 200, headers, file.media_type)
        chunks = read(part.first if part else 0, length)
        try:
            # Only with the first bytes is it known that the URL still holds, and that a download is allowed now.
            first = await anext(chunks, b"")
        except ApiError as error:
            return refused(error.failure)
        status, sent = 206 if part else 200, self.metrics.sent.inc
        return MediaBody(first, chunks, status, headers, file.media_type, stall_s=self.stall_s, sent=sent)
