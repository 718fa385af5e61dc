"""Jobs whose deadline passes at a certain moment, on a machine of any speed."""

from collections.abc import Awaitable, Callable

from i2v.v1 import job_pb2


async def late(
    make: Callable[[int], Awaitable[job_pb2.Job]], first_s: int, in_time: Callable[[job_pb2.Job], bool]
) -> job_pb2.Job:
    """Makes jobs with ever longer deadlines until one came as far, before its deadline, as the test is about.

    A busy machine may need longer than `first_s` to get there, and a longer deadline alone would make every run slow.
    `make` returns the job as it ended. The last one is returned however far it came.
    """
    job = await make(first_s)
    for factor in (4, 16):
        if in_time(job):
            break
        job = await make(first_s * factor)
    return job
