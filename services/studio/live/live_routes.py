"""`/v1/videos/{id}/live.m3u8`, and what it names: playlists and segments for any player."""

import re
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from email.utils import format_datetime
from fractions import Fraction
from functools import partial

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from services.reasons import AccessReason, HttpReason
from services.studio.caller import caller
from services.studio.file_answer import File, FileAnswer
from services.studio.live import playlists, retiming
from services.studio.live.fragment_head import FragmentHead
from services.studio.live.fragment_heads import FragmentHeads
from services.studio.live.live_calls import LiveCalls
from services.studio.live.live_metrics import LiveMetrics
from services.studio.live.live_path import LivePath, failed
from services.studio.live.live_views import LiveView, LiveViews
from services.studio.live.retiming import Patch
from services.studio.live.takes import Segment
from services.studio.refused_request import RefusedRequest
from services.studio.videos.video_json import job_name

TAKE = re.compile(r"0|[1-9][0-9]{0,3}")
NAME = re.compile(r"(?P<media>video\.m3u8)|init-(?P<init>0|[1-9][0-9]{0,4})\.mp4|(?P<segment>0|[1-9][0-9]{0,4})\.m4s")
PLAYLIST = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff"}
Read = Callable[[int, int], AsyncGenerator[bytes, None]]
"""Yields bytes from an offset, so many."""


@dataclass(frozen=True, slots=True)
class LiveRoutes:
    """Answers the requests."""

    calls: LiveCalls
    views: LiveViews
    heads: FragmentHeads
    files: FileAnswer
    metrics: LiveMetrics

    def routes(self) -> list[Route]:
        """Returns what is answered."""
        return [
            Route("/v1/videos/{id}/live.m3u8", LivePath(self.playlist)),
            Route("/v1/videos/{id}/live/{take}/{name}", LivePath(self.part)),
        ]

    async def playlist(self, request: Request, token: str) -> Response:
        """Returns the multivariant playlist. Waits a while for the first fragment."""
        token = token or await self.calls.sign(caller(request), job_name(request.path_params["id"]))
        with self.metrics.waiting.track_inprogress():
            view = await self.views.begun(token)
        _check(request, view)
        if not view.has_begun:
            sentence = "The job has no fragment yet. Try again."
            raise RefusedRequest(sentence, reason=HttpReason.LIVE_PENDING, status=503)
        number, take = len(view.takes) - 1, view.takes[-1]
        text = playlists.multivariant(
            take,
            number,
            token=token,
            rate=view.rate,
            codecs=(await self._head(view, take.segments[0])).codecs,
            width=view.width,
            height=view.height,
        )
        self.metrics.answers.labels("multivariant").inc()
        return Response(text, headers=PLAYLIST, media_type=playlists.MEDIA_TYPE)

    async def part(self, request: Request, token: str) -> Response:
        """Returns a media playlist, an initialization segment or a media segment."""
        take, name = TAKE.fullmatch(request.path_params["take"]), NAME.fullmatch(request.path_params["name"])
        if take is None or name is None:
            raise _nothing()
        if not token:
            sentence = "This URL needs its token: follow those of the playlist."
            raise RefusedRequest(sentence, reason=AccessReason.SIGNED_URL_WRONG, status=403)
        view, number = await self.views.now(token), int(take[0])
        _check(request, view)
        if number >= len(view.takes) or not view.has_begun:
            raise _nothing()
        if name["media"]:
            self.metrics.answers.labels("media").inc()
            return Response(view.playlist(number), headers=PLAYLIST, media_type=playlists.MEDIA_TYPE)
        place, segments = int(name["init"] or name["segment"]), view.takes[number].segments
        if place >= len(segments):
            raise _nothing()
        if name["init"]:
            return await self._init(request, view, segments[place])
        return await self._segment(request, view, segments[place], place)

    async def _init(self, request: Request, view: LiveView, segment: Segment) -> Response:
        init = (await self._head(view, segment)).init

        async def read(offset: int, length: int) -> AsyncGenerator[bytes, None]:
            yield init[offset : offset + length]

        self.metrics.answers.labels("init").inc()
        return await self._file(request, view, segment, "init", len(init), read)

    async def _segment(self, request: Request, view: LiveView, segment: Segment, number: int) -> Response:
        head, fragment = await self._head(view, segment), segment.fragment
        with self.metrics.playable(view.job):
            changes = retiming.patches(head, number, Fraction(segment.begins) / view.rate)
        read = partial(self._retimed, view.token, fragment.sha256, head.media, changes)
        self.metrics.answers.labels("segment").inc()
        variant = f"{number}-{segment.begins}"
        return await self._file(request, view, segment, variant, fragment.size_bytes - head.media, read)

    async def _retimed(
        self, token: str, sha256: str, begins: int, changes: list[Patch], offset: int, length: int
    ) -> AsyncGenerator[bytes, None]:
        at = begins + offset
        async with aclosing(self.calls.read(token, sha256, at, length)) as chunks:
            async for chunk in chunks:
                yield retiming.patched(chunk, at, changes)
                at += len(chunk)

    async def _file(
        self, request: Request, view: LiveView, segment: Segment, variant: str, size: int, read: Read
    ) -> Response:
        # What a playlist has once said of a place stays, so what is there never changes.
        until = format_datetime(view.expire_time, usegmt=True)
        headers = {"Cache-Control": "private, immutable", "Expires": until}
        file = File(segment.fragment.sha256, variant, size, "video/mp4", "", headers)
        return await self.files.answer(request, file, read, failed)

    async def _head(self, view: LiveView, segment: Segment) -> FragmentHead:
        with self.metrics.playable(view.job):
            return await self.heads.of(segment.fragment, partial(self.calls.begin, view.token))


def _check(request: Request, view: LiveView) -> None:
    """Raises RefusedRequest if the token is of another job than the path."""
    if view.job != job_name(request.path_params["id"]):
        raise _nothing()


def _nothing() -> RefusedRequest:
    return RefusedRequest("There is nothing at this path.", reason=HttpReason.PATH_UNKNOWN, status=404)
