"""The metrics of live playback, and a log line for each fragment that cannot be played."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge

from services.reasons import HttpReason
from services.studio.live.boxes import UnplayableError
from services.studio.refused_request import RefusedRequest

log = logging.getLogger(__name__)


class LiveMetrics:
    """What is counted. One per registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.answers = Counter(
            "i2v_studio_live_answers_total",
            "Answers to players. `kind` is `multivariant`, `media`, `init` or `segment`.",
            ("kind",),
            registry=registry,
        )
        self.lookups = Counter(
            "i2v_studio_live_lookups_total", "Calls of the API that these answers have shared.", registry=registry
        )
        self.waiting = Gauge(
            "i2v_studio_live_waiting", "Players that wait for the first fragment of a job now.", registry=registry
        )
        self.unplayable = Counter(
            "i2v_studio_live_unplayable_total",
            "Requests for fragments that cannot be cut into segments.",
            registry=registry,
        )

    @contextmanager
    def playable(self, job: str) -> Iterator[None]:
        """Counts and refuses a fragment of a job, `jobs/{id}`, that cannot be cut. Raises RefusedRequest."""
        try:
            yield
        except UnplayableError as error:
            self.unplayable.inc()
            log.warning(
                "a fragment cannot be played live", extra={"job_id": job.removeprefix("jobs/"), "cause": str(error)}
            )
            sentence = "A fragment of this video cannot be played live. Read the video when it is complete."
            raise RefusedRequest(sentence, reason=HttpReason.FRAGMENT_UNPLAYABLE, status=500) from error
