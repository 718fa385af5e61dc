"""Requests that schemathesis makes up out of the OpenAPI document: every answer is one that the document has."""

import asyncio
import sys

from tests.support.studio_rig import Rig


async def test_to_every_request_the_answer_is_one_of_the_document(rig: Rig) -> None:
    # A process of its own: it seeds the random numbers of the one that it runs in.
    fuzz = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tools.fuzz_http", "--url", rig.address, "--key", "studio-key", "--examples", "3"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await fuzz.communicate()
    assert fuzz.returncode == 0, said.decode()
