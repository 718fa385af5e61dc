"""Which jobs have something to play while they are made."""

from datetime import timedelta
from typing import Any

import pytest

from services.errors import PreconditionFailed
from services.orchestrator.assets.live_videos import LiveVideos
from services.orchestrator.domain.event import FragmentReady
from services.orchestrator.domain.job import Job, State
from services.orchestrator.domain.live_url import LiveUrl
from services.reasons import AssetReason
from tests.support.builders import NOON, FakeClock, a_card, a_catalog, a_job
from tests.support.remote_cards import an_avatar_card


class OneJob:
    """The ports of one job that has no fragment."""

    def __init__(self, job: Job) -> None:
        self.job = job

    async def get(self, job_id: str, **_: str) -> Job:
        return self.job

    async def fragments(self, job_id: str) -> list[FragmentReady]:
        return []


def videos(job: Job, card: Any) -> LiveVideos:
    ports: Any = OneJob(job)
    unused: Any = None
    return LiveVideos(ports, ports, unused, lambda: a_catalog(card), unused, FakeClock(), "", timedelta(days=1))


URL = LiveUrl("studio", "ann", "0" * 32, NOON)


async def test_a_job_of_our_own_model_may_get_its_first_fragment() -> None:
    assert (await videos(a_job(), a_card()).find(URL)).announced == []


@pytest.mark.parametrize(
    ("changes", "card", "said"),
    [
        ({}, an_avatar_card("test-model"), "A vendor makes this video in one piece"),
        ({"state": State.CANCELLED}, a_card(), "ended before its first fragment"),
    ],
)
async def test_a_job_that_gets_no_fragments_is_refused_in_words_that_say_why(
    changes: dict[str, Any], card: Any, said: str
) -> None:
    with pytest.raises(PreconditionFailed, match=said) as caught:
        await videos(a_job(**changes), card).find(URL)
    assert caught.value.reason == AssetReason.LIVE_UNAVAILABLE
