"""`/s/{token}`: the pages of a share, and its files. Nothing needs a script, and nothing comes from elsewhere."""

import math
import re
from dataclasses import dataclass
from datetime import UTC
from functools import partial

import grpc
from i2v.v1 import shared_pb2
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from services.reasons import LibraryReason
from services.rpc.status_codes import Failure
from services.studio import form, share_html
from services.studio.api_error import ApiError
from services.studio.file_answer import File, FileAnswer
from services.studio.refusal import BUSY, refusal
from services.studio.share_style import HEADERS
from services.studio.shared_assets import Link, SharedAssets

TOKEN = re.compile(r"share\.[A-Za-z0-9_-]{20,100}")
"""Only what may be a share's token goes to the API as a credential."""
UNLOCK = re.compile(r"[0-9]{1,12}\.[0-9a-f]{64}")
DIGEST = re.compile(r"[0-9a-f]{64}")
VARIANT = re.compile(r"[a-z0-9.-]{1,40}")
COOKIE = "i2v-unlock"
TILES = 48
NOTHING = "There is no such file, or it is not shared any more."
WRONG = "This is not the pass phrase."
ENDINGS = {"video/quicktime": ".mov", "image/jpeg": ".jpg", "audio/mpeg": ".mp3", "video/matroska": ".mkv"}


@dataclass(frozen=True, slots=True)
class SharePages:
    """Answers the requests of readers."""

    shared: SharedAssets
    files: FileAnswer

    def routes(self) -> list[Route]:
        """Returns what is answered."""
        return [
            Route("/s/{token}", self.page, methods=["GET"]),
            Route("/s/{token}/unlock", self.unlock, methods=["GET", "POST"]),
            Route("/s/{token}/{digest}", self.file, methods=["GET"]),
            Route("/s/{token}/{digest}/{variant}", self.file, methods=["GET"]),
        ]

    async def page(self, request: Request) -> Response:
        """Shows what is shared, or a page of it, or with `asset` one of a collection."""
        if (link := _link(request)) is None:
            return _html(404, share_html.not_found())
        digest = request.query_params.get("asset", "")
        if digest and not DIGEST.fullmatch(digest):
            return _html(404, share_html.not_found())
        try:
            if digest:
                return _html(200, share_html.asset(link.token, (await self._file(link, digest)).asset, back=True))
            place = request.query_params.get("page", "")
            shown = await self.shared.shown(link, place, TILES)
        except ApiError as error:
            return _refused_page(error.failure, f"{link.token}/unlock")
        if shown.collection:
            return _html(200, share_html.collection(link.token, shown, first=not place))
        return _html(200, share_html.asset(link.token, shown.assets[0]))

    async def unlock(self, request: Request) -> Response:
        """Takes the pass phrase, and sets a cookie that holds as long as the API says."""
        if (link := _link(request)) is None:
            return _html(404, share_html.not_found())
        there = RedirectResponse(f"../{link.token}", 303, HEADERS)
        if request.method != "POST":
            return there
        try:
            given = (await form.fields(request)).get("pass_phrase", "")
        except form.BadFormError:
            return _html(400, share_html.pass_phrase("", WRONG))
        try:
            found = await self.shared.unlock(link, given)
        except ApiError as error:
            return _refused_page(error.failure, "")
        # Without a path it is for the path of this request up to the last slash: this share, behind any proxy.
        there.set_cookie(
            COOKIE,
            found.unlock,
            expires=found.expire_time.ToDatetime(tzinfo=UTC),
            path=None,
            secure=_is_encrypted(request),
            httponly=True,
            samesite="lax",
        )
        return there

    async def file(self, request: Request) -> Response:
        """Answers with an asset, or one of its variants."""
        link, digest = _link(request), request.path_params["digest"]
        variant = request.path_params.get("variant", "")
        if link is None or not DIGEST.fullmatch(digest) or not (not variant or VARIANT.fullmatch(variant)):
            return refusal(404, NOTHING)
        try:
            found = await self._file(link, digest, variant)
        except ApiError as error:
            return _refused_file(error.failure)
        file = File(
            digest=digest,
            variant=variant,
            size_bytes=found.size_bytes,
            media_type=found.media_type,
            download_name=_name(found) if "save" in request.query_params else "",
            # A cache asks each time: a share may end at any time.
            headers={
                "Cache-Control": "private, no-cache",
                "X-Robots-Tag": "noindex, nofollow",
                "Cross-Origin-Resource-Policy": "same-origin",
            },
        )
        return await self.files.answer(request, file, partial(self.shared.read, link, digest, variant), _refused_file)

    async def _file(self, link: Link, digest: str, variant: str = "") -> shared_pb2.SharedFile:
        return await self.shared.file(link, digest, variant)


def _link(request: Request) -> Link | None:
    token, unlock = request.path_params["token"], request.cookies.get(COOKIE, "")
    if not TOKEN.fullmatch(token):
        return None
    return Link(token, unlock if UNLOCK.fullmatch(unlock) else "")


def _is_encrypted(request: Request) -> bool:
    """Returns whether the browser speaks TLS: to this process, or to a proxy in front that says so."""
    forwarded = request.headers.get("x-forwarded-proto", "").partition(",")[0].strip().lower()
    return "https" in (request.url.scheme, forwarded)


def _html(status: int, page: str, **headers: str) -> HTMLResponse:
    return HTMLResponse(page, status, HEADERS | headers)


def _refused_page(failure: Failure, action: str) -> Response:
    """Returns the page for a call that the API refused; `action` is where the pass phrase is sent."""
    retry = {"Retry-After": str(max(1, math.ceil(failure.retry_after_s or 1)))}
    if failure.reason == LibraryReason.PASS_PHRASE_NEEDED:
        return _html(403, share_html.pass_phrase(action))
    if failure.reason == LibraryReason.PASS_PHRASE_WRONG:
        return _html(403, share_html.pass_phrase(action, WRONG))
    if failure.reason == LibraryReason.PASS_PHRASE_ATTEMPTS:
        wrong = f"Too many attempts. Try again in {retry['Retry-After']} seconds."
        return _html(429, share_html.pass_phrase(action, wrong), **retry)
    if failure.code in BUSY:
        return _html(503, share_html.away(), **retry)
    return _html(404, share_html.not_found())


def _refused_file(failure: Failure) -> Response:
    if failure.code in BUSY:
        seconds = max(1, math.ceil(failure.retry_after_s or 1))
        return refusal(503, "The service is busy or away. Try again.", Retry_After=str(seconds))
    if failure.code is grpc.StatusCode.PERMISSION_DENIED:
        return refusal(403, "This link has a pass phrase: open its page first.")
    return refusal(404, NOTHING)


def _name(found: shared_pb2.SharedFile) -> str:
    """Returns the name under which a browser saves a file."""
    ending = ENDINGS.get(found.media_type, f".{found.media_type.rpartition('/')[2]}")
    name = share_html.plain(found.asset.title) or found.asset.name.removeprefix("assets/")[:12]
    return name if name.lower().endswith(ending) else name + ending
