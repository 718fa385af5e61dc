"""Makes one video of a picture: uploads it, submits a job, shows its events, downloads the video.

    I2V_SERVER=127.0.0.1:50051 I2V_KEY=… python one_video.py cat.png cat.mp4

A submission that was not answered is repeated with the same request_id, so it is paid for once. The events come each
once and in order, also when a server restarts meanwhile.
"""

import asyncio
import os
import sys

from i2v_client import AsyncClient, I2VError, job_spec


async def main(picture: str, video: str) -> None:
    async with AsyncClient(os.environ["I2V_SERVER"], os.environ["I2V_KEY"]) as i2v:
        asset = await i2v.upload(picture)
        job = await i2v.submit(job_spec("The cat turns its head.", image=asset.name, duration_s=1))
        async for event in i2v.watch(job.name):
            print(event.sequence, event.WhichOneof("event"))
        job = await i2v.get(job.name)
        if not job.output.asset:
            sys.exit(f"{job.name} has no video: {job.error.message}")
        size = await i2v.download(job.output.asset, video)
        print(f"{video}: {size} bytes")


if __name__ == "__main__":
    try:
        asyncio.run(main(*sys.argv[1:]))
    except I2VError as error:
        for violation in error.violations:
            print(f"{violation.field}: {violation.description}")
        sys.exit(f"{error.reason}: {error}")
