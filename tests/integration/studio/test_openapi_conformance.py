"""Requests that schemathesis makes up out of the OpenAPI document: every answer is one that the document has."""

import asyncio
import sys
from pathlib import Path

from i2v.admin.v1.key_pb2 import Key

from tests.integration.tenants.conftest import FIRST_OPERATOR, Admin
from tests.support.studio_rig import before_an_api

SCOPES = (Key.SUBMIT, Key.READ, Key.ASSETS, Key.USAGE, Key.TENANT_ADMIN)


async def test_the_answer_to_every_request_is_one_of_the_document(database: str, tmp_path: Path) -> None:
    operator = tmp_path / "operator-key"
    operator.write_text(FIRST_OPERATOR)
    async with before_an_api(database, tmp_path, operator_key_file=str(operator)) as rig:
        key = (await Admin(rig.i2v.channel).new_key(*SCOPES)).key_text
        # A process of its own: the fuzzer seeds the random numbers of the one that it runs in.
        fuzz = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tools.fuzz_http", "--url", rig.address, "--key", key, "--examples", "2"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await fuzz.communicate()
    assert fuzz.returncode == 0, said.decode()
