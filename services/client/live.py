"""`i2v live`: an address under which any player shows a video while it is made."""

from datetime import timedelta
from typing import Any

import click
from i2v.v1 import live_pb2, live_pb2_grpc

from i2v_client import AsyncClient
from services.client import formatting
from services.client.commands import command, named
from services.client.completion.names import completed
from services.client.connection import Connection
from services.client.period import PERIOD
from services.client.terminal import say

HOW = (
    "Open it with `ffplay -live_start_index 0 URL`, in VLC (Media, Open Network Stream), in Safari, or on a page with"
    " hls.js. Who has it sees the video until it expires."
)
WHERE = "The service does not know the address of its HTTP process (I2V_STUDIO_URL): put that before the path."


@command("live")
@click.argument("job", callback=named("jobs"), shell_complete=completed("jobs"))
@click.option("--expires", type=PERIOD, help="Such as 30m or 4h. Default: 1h.")
def live(connection: Connection, job: str, expires: timedelta | None) -> None:
    """Prints a URL under which any player shows the video of a job while it is made: keep it secret."""

    async def work(client: AsyncClient) -> None:
        request = live_pb2.SignLiveUrlRequest(name=job)
        if expires is not None:
            request.expire_in.FromTimedelta(expires)
        stub: Any = live_pb2_grpc.LiveServiceStub(client.channel())
        signed = await client.call(stub.SignLiveUrl, request)
        say(formatting.as_json(signed) if connection.json else signed.url)
        if not connection.json:
            say(HOW if signed.url.startswith("http") else WHERE, err=True)

    connection.run(work)
