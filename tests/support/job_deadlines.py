"""Jobs with a deadline that passes at a certain stage, on a machine of any speed."""

from collections.abc import Awaitable, Callable

from i2v.v1 import job_pb2


async def late(
    make: Callable[[int], Awaitable[job_pb2.Job]], first_s: int, in_time: Callable[[job_pb2.Job], bool]
) -> job_pb2.Job:
    """Makes jobs with increasing deadlines until one reaches the stage that the test needs before its deadline.

    A busy machine may need longer than `first_s` to get there, and a longer deadline alone would make every run slow.
    `make` returns the ended job. The last job is returned, even if it did not reach the stage.
    """
    job = await make(first_s)
    for factor in (4, 16):
        if in_time(job):
            break
        job = await make(first_s * factor)
    return job
