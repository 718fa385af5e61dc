"""The program of docs/socket.md does what the page says, and each of its events and limits is there."""

import asyncio
import os
import re
import sys
from pathlib import Path

from services.studio.socket import connection, endpoint, generation, handshake, pace
from tests.support.studio_rig import Rig

PAGE = Path("docs/socket.md").read_text()


async def test_the_program_of_the_page_makes_a_video(own: Rig) -> None:
    program = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)[0]
    environment = os.environ | {"STUDIO_URL": own.address, "I2V_KEY": "studio-key"}
    running = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    async with asyncio.timeout(120):
        printed = (await running.communicate())[0].decode()
    assert running.returncode == 0, printed
    assert re.findall(r"^frame (\d+)$", printed, re.MULTILINE) == [str(number) for number in range(8)], printed
    assert "100 Complete" in printed and re.search(r"^job \S+$", printed, re.MULTILINE), printed


def test_the_page_names_every_field_and_limit() -> None:
    for name in (*generation.FIELDS, *handshake.FIELDS):
        assert f"`{name}`" in PAGE, name
    assert f"At most {pace.PENDING_MOST} frames wait" in PAGE
    events = f"{connection.EVENTS_A_SECOND:.0f} a second after a burst of {connection.EVENTS_MOST:.0f}"
    messages = f"{endpoint.MESSAGES_A_SECOND:.0f} a second after a burst of {endpoint.MESSAGES_MOST:.0f}"
    assert events in PAGE and messages in PAGE
