"""The table of run rates: how long the jobs of each backend run per second of video, as an exponential mean."""

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from services.orchestrator.domain.run_rates import RunRates
from services.orchestrator.store.schema import run_rates

# The same as domain.run_rates.variant.
VARIANT = """concat_ws(' ', spec->>'model', nullif(spec->>'quality', ''), coalesce(
    nullif(spec->>'resolution', ''), (spec->'size'->>0) || 'x' || (spec->'size'->>1)
))"""

# A job that had several attempts says nothing: parts of it were made before, or it waited for a retry. The mean of the
# first ten jobs is that of all of them; later each new job has a weight of a tenth.
MEASURE = sa.text(f"""
INSERT INTO run_rates AS known (backend, variant, jobs, seconds_per_second)
SELECT backend, {VARIANT}, 1, extract(epoch FROM end_time - start_time) * 1000 / CAST(spec->>'duration_ms' AS bigint)
FROM jobs
WHERE id = :id AND state = 'succeeded' AND attempt = 1 AND resumes IS NULL AND end_time >= start_time
    AND CAST(spec->>'duration_ms' AS bigint) > 0
ON CONFLICT (backend, variant) DO UPDATE SET
    jobs = known.jobs + 1,
    seconds_per_second = known.seconds_per_second
        + (excluded.seconds_per_second - known.seconds_per_second) / least(10, known.jobs + 1)
""")


async def measure(connection: AsyncConnection, job_id: str) -> None:
    """Adds the run of an ended job to the rates, if it says something about others."""
    await connection.execute(MEASURE, {"id": job_id})


async def read(connection: AsyncConnection, backend: str) -> RunRates:
    """Returns the rates of a backend."""
    query = sa.select(run_rates.c.variant, run_rates.c.seconds_per_second).where(run_rates.c.backend == backend)
    return RunRates({row.variant: row.seconds_per_second for row in await connection.execute(query)})
