"""LiveVideos: the fragments of a job for players, under URLs that expire."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.errors import InvalidInput, NotFound, PreconditionFailed, Violation
from services.orchestrator.assets.url_signatures import UrlSignatures
from services.orchestrator.domain.asset import Asset
from services.orchestrator.domain.catalog import Catalog
from services.orchestrator.domain.event import FragmentReady
from services.orchestrator.domain.job import Job
from services.orchestrator.domain.live_url import LiveUrl
from services.orchestrator.domain.media_info import VideoInfo
from services.orchestrator.ports.assets import Assets
from services.orchestrator.ports.clock_and_ids import Clock
from services.orchestrator.ports.job_events import JobEvents
from services.orchestrator.ports.jobs import Jobs
from services.reasons import AssetReason

USUAL = timedelta(hours=1)
SECOND = timedelta(seconds=1)
VIDEO = "video_"
"""What ids of videos begin with in the paths of our HTTP process."""


@dataclass(frozen=True, slots=True)
class LiveVideo:
    """A job as players see it."""

    job: Job
    announced: list[FragmentReady]
    """All fragments, also those that were replaced, in the order of their events."""
    info: VideoInfo | None
    """Of the first fragment; None before there is one."""


@dataclass(frozen=True, slots=True)
class LiveVideos:
    """The jobs of all users."""

    jobs: Jobs
    events: JobEvents
    assets: Assets
    catalog: Callable[[], Catalog]
    signatures: UrlSignatures
    clock: Clock
    studio_url: str
    """`https://host`, how clients reach our HTTP process; empty: not known."""
    longest: timedelta

    async def sign(
        self, job_id: str, *, tenant: str, user: str, expire_in: timedelta | None
    ) -> tuple[str, str, datetime]:
        """Returns a URL of a job, its token, and when it expires. None: after the usual time.

        Raises:
            InvalidInput: it would hold for too long, or for less than a second.
            NotFound: there is no such job for this user, or its video was deleted.
            PreconditionFailed: it has no fragments, and gets none.
        """
        seconds = (min(USUAL, self.longest) if expire_in is None else expire_in) // SECOND
        if not 1 <= seconds <= self.longest // SECOND:
            what = f"is {seconds} s; 1 to {self.longest // SECOND} s are allowed"
            reason = AssetReason.URL_EXPIRY_OUT_OF_RANGE
            raise InvalidInput([Violation("expire_in", what, reason)], reason=reason)
        expire_time = self.clock.now().replace(microsecond=0) + seconds * SECOND
        url = LiveUrl(tenant, user, job_id, expire_time)
        await self.find(url)
        token = await self.signatures.sign(url)
        return f"{self.studio_url.rstrip('/')}/v1/videos/{VIDEO}{job_id}/live.m3u8?token={token}", token, expire_time

    async def find(self, url: LiveUrl) -> LiveVideo:
        """Returns what a URL names. Raises NotFound, PreconditionFailed."""
        # The job first: fragments that are announced after it has ended would be lost to a player.
        job = await self._job(url)
        announced = await self.events.fragments(job.id)
        if not announced:
            if job.state.ended or self._is_remote(job):
                raise _unavailable(job)
            return LiveVideo(job, announced, None)
        info = (await self._asset(url, announced[0].asset)).info
        assert isinstance(info, VideoInfo), "a fragment is a video"
        return LiveVideo(job, announced, info)

    async def fragment(self, url: LiveUrl, sha256: str) -> Asset:
        """Returns one of the fragments that a URL names, also one that was replaced. Raises NotFound."""
        job = await self._job(url)
        if all(each.asset != sha256 for each in await self.events.fragments(job.id)):
            raise NotFound("fragment", f"assets/{sha256}")
        return await self._asset(url, sha256)

    async def _job(self, url: LiveUrl) -> Job:
        """Returns the job. Raises NotFound, also if its video is in the trash or deleted."""
        job = await self.jobs.get(url.job_id, tenant=url.tenant, user=url.user)
        if job.output is not None:
            await self._asset(url, job.output.asset)
        return job

    async def _asset(self, url: LiveUrl, sha256: str) -> Asset:
        return await self.assets.get(sha256, tenant=url.tenant, user=url.user)

    def _is_remote(self, job: Job) -> bool:
        card = self.catalog().cards.get(job.spec.model)
        return card is not None and card.remote is not None


def _unavailable(job: Job) -> PreconditionFailed:
    if job.output is not None:
        what = "The fragments of this video were removed, or it was made in one piece. Read the video itself."
    elif job.state.ended:
        what = "The job ended before its first fragment: there is nothing to play."
    else:
        what = "A vendor makes this video in one piece: there is nothing to play before its end."
    return PreconditionFailed(what, reason=AssetReason.LIVE_UNAVAILABLE, metadata={"name": f"jobs/{job.id}"})
