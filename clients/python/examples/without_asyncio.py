"""Makes a video in a program without an event loop, and shows the newest entries of the library and what was spent.

I2V_SERVER=127.0.0.1:50051 I2V_KEY=… python without_asyncio.py cat.png cat.mp4
"""

import os
import sys
from itertools import islice

from i2v_client import Client, job_spec


def main(picture: str, video: str) -> None:
    with Client(os.environ["I2V_SERVER"], os.environ["I2V_KEY"]) as i2v:
        with open(picture, "rb") as file:
            asset = i2v.upload(file)
        job = i2v.submit(job_spec("The cat walks away.", image=asset.name, duration_s=1))
        for event in i2v.watch(job.name):
            print(event.sequence, event.WhichOneof("event"))
        i2v.download(i2v.get(job.name).output.asset, video)
        for entry in islice(i2v.library.assets(filter="type = video"), 3):
            print(entry.name, entry.details.title)
        for limit in i2v.usage().limits:
            most = limit.limit if limit.HasField("limit") else "no limit"
            print(limit.subject, limit.measure, limit.used, "of", most)


if __name__ == "__main__":
    main(*sys.argv[1:])
