"""`/v1/assets/{asset}/content`, and that of its renditions: the bytes, with ranges and entity tags."""

from dataclasses import dataclass
from functools import partial

from starlette.requests import Request
from starlette.responses import Response

from services.reasons import HttpReason
from services.studio import problem
from services.studio.caller import Caller
from services.studio.file_answer import File, FileAnswer
from services.studio.refused_request import RefusedRequest
from services.studio.streams import query
from services.studio.streams.api import StreamApi

DOWNLOAD = "download"
"""The parameter under whose value a browser saves the file; without a value under a name of ours."""
ENDINGS = {
    "image/jpeg": "jpg",
    "audio/mpeg": "mp3",
    "audio/mp4": "m4a",
    "video/matroska": "mkv",
    "video/quicktime": "mov",
}


@dataclass(frozen=True, slots=True)
class DownloadRoutes:
    """Answers GET and HEAD."""

    api: StreamApi
    files: FileAnswer

    async def content(self, request: Request, who: Caller) -> Response:
        """Returns the bytes of an asset."""
        found = await self.api.asset(who, _name(request))
        return await self._file(request, who, found.name, "", found.size_bytes, found.media_type)

    async def rendition(self, request: Request, who: Caller) -> Response:
        """Returns the bytes of a variant of an asset, which is made if it is missing."""
        name, variant = _name(request), request.path_params["variant"]
        found = await self.api.rendition(who, name, variant)
        return await self._file(request, who, name, variant, found.size_bytes, found.media_type)

    async def _file(
        self, request: Request, who: Caller, name: str, variant: str, size_bytes: int, media_type: str
    ) -> Response:
        query.demand_only(request, DOWNLOAD)
        file = File(
            digest=name.removeprefix("assets/"),
            variant=variant,
            size_bytes=size_bytes,
            media_type=media_type,
            download_name=_download_name(request, name, variant, media_type),
            headers={"Cache-Control": "private, no-cache"},
        )
        read = partial(self.api.read, who, name, variant)
        answer = await self.files.answer(request, file, read, problem.of_failure)
        if answer.status_code != 416:
            return answer
        headers = {"Content-Range": answer.headers["content-range"]}
        sentence = f"The file has {size_bytes} bytes, and none in this range."
        raise RefusedRequest(
            sentence, reason=HttpReason.RANGE_UNSATISFIABLE, param="Range", status=416, headers=headers
        )


def _name(request: Request) -> str:
    return f"assets/{request.path_params['asset']}"


def _download_name(request: Request, name: str, variant: str, media_type: str) -> str:
    """Returns the name under which a browser saves the file; empty: it shows it."""
    if DOWNLOAD not in request.query_params:
        return ""
    ending = ENDINGS.get(media_type, media_type.rpartition("/")[2])
    own = "-".join(part for part in (name.removeprefix("assets/")[:12], variant) if part)
    return request.query_params[DOWNLOAD] or f"{own}.{ending}"
