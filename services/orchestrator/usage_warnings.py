"""Reports warnings of limits, each once over all processes: a line in the log, and a count in the metrics."""

import asyncio
import logging

from services.errors import Unavailable
from services.orchestrator.metrics import PrometheusMeter
from services.orchestrator.ports.usage_warnings import UsageWarnings

REPORT_S = 5.0
"""Seconds between two looks."""

log = logging.getLogger(__name__)


async def report(warnings: UsageWarnings, meter: PrometheusMeter, *, every_s: float = REPORT_S) -> None:
    """Logs and counts new warnings until it is cancelled."""
    while True:
        try:
            for each in await warnings.take():
                meter.limit_reached(each)
                counter = {"tenant": each.tenant, "subject": each.subject, "measure": each.measure}
                log.warning(
                    "the use of a limit is high",
                    extra={**counter, "period": each.period, "percent": each.threshold},
                )
        except Unavailable:
            pass  # the health check reports it
        except Exception:
            log.exception("warnings of limits cannot be reported")
        await asyncio.sleep(every_s)
