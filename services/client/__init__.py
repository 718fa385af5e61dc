"""The Python client and the `i2v` command line.

Reading order: errors, patience, files, client; then money, show, progress, cli. Ten lines make a video:

    async with Client("127.0.0.1:50051", key) as client:
        picture = await client.upload("cat.png")
        job = await client.submit(job_spec("The cat turns its head.", image=picture.name))
        async for event in client.watch(job.name):
            print(event.sequence, event.WhichOneof("event"))
        job = await client.get(job.name)
        await client.download(job.output.asset, "cat.mp4")
"""

from services.client.client import Client, job_spec
from services.client.errors import I2VError, InvalidRequest, NotFound, QuotaExceeded, Unauthenticated, Unreachable

__all__ = [
    "Client",
    "I2VError",
    "InvalidRequest",
    "NotFound",
    "QuotaExceeded",
    "Unauthenticated",
    "Unreachable",
    "job_spec",
]
