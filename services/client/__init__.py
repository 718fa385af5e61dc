"""The Python client and the `i2v` command line. Imports nothing, so that `cli` runs before gRPC is loaded.

Reading order: errors, retry, service_channel, client; then formatting, follow_job, connection, commands, cli.
A video in ten lines, with `from services.client.client import Client, job_spec`:

    async with Client("127.0.0.1:50051", key) as client:
        picture = await client.upload("cat.png")
        job = await client.submit(job_spec("The cat turns its head.", image=picture.name))
        async for event in client.watch(job.name):
            print(event.sequence, event.WhichOneof("event"))
        job = await client.get(job.name)
        await client.download(job.output.asset, "cat.mp4")
"""
