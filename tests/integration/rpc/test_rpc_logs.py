"""A caller without a key cannot write its data into the log, and cannot fill the log."""

import asyncio
import json
from collections.abc import Awaitable
from pathlib import Path

import grpc
import pytest

from services.rpc import auth
from tests.support.programs import program
from tests.support.raw_http2 import DATA, END_HEADERS, END_STREAM, HEADERS, PREFACE, SETTINGS, frame, headers

METHOD = "/i2v.provider.v1.PromptWriter/WritePrompt"
CALLS = 40
FLOOD = 400


async def call(address: str, **metadata: str) -> asyncio.StreamWriter:
    """Makes one call on a connection of its own, which stays open."""
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    block = headers(METHOD, **metadata)
    writer.write(PREFACE + frame(SETTINGS, 0, 0) + frame(HEADERS, END_HEADERS, 1, block))
    writer.write(frame(DATA, END_STREAM, 1, bytes(5)))
    await writer.drain()
    await reader.read(1)
    return writer


async def test_metadata_and_tracebacks_of_callers_without_a_key_are_not_logged(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("the-key\n")
    log = tmp_path / "log"
    settings = {"I2V_PROMPT_ACCESS_KEY_FILE": str(tmp_path / "key")}
    async with program("services.providers.prompt", log=log, prefix="I2V_PROMPT_", **settings) as running:
        kept = []
        for number in range(CALLS):
            private = {"authorization": f"Bearer private-{number}-\udcff", "x-note": "private-\udcfe"}
            kept.append(await call(running.address, **private, **{"grpc-timeout": "private"}))

        def lines() -> list[str]:
            return [line for line in log.read_text().splitlines() if line]

        async with asyncio.timeout(60):
            while sum('"refused"' in line for line in lines()) < CALLS:  # noqa: ASYNC110  the log has no news
                await asyncio.sleep(0.02)
        for writer in kept:
            writer.close()
    records = [json.loads(line) for line in lines()]
    assert not [line for line in records if "private" in json.dumps(line) or "Traceback" in json.dumps(line)]
    of_grpc = [line for line in records if line["logger"].startswith("grpc")]
    assert [line["message"] for line in of_grpc] == ["gRPC reported an unexpected event"]
    assert of_grpc[0]["what"] == "Invalid encoding on …"


async def test_a_flood_of_refused_calls_is_counted_and_leaves_other_lines_alone(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("the-access-key\n")
    log = tmp_path / "log"
    settings = {"I2V_PROMPT_ACCESS_KEY_FILE": str(tmp_path / "key")}
    async with program("services.providers.prompt", log=log, prefix="I2V_PROMPT_", **settings) as running:
        async with grpc.aio.insecure_channel(running.address) as channel:
            call = channel.unary_unary(METHOD)
            wrong, right = (auth.bearer(key) for key in ("wrong", "the-access-key"))
            await asyncio.gather(*(_refused(call(b"", metadata=wrong)) for _ in range(FLOOD)))
            await _refused(call(b"\xff", metadata=right))
        await running.stop()
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    flood = [line for line in lines if "API_KEY_UNKNOWN" in (line.get("reason"), line.get("what"))]
    assert sum(line["message"] == "refused" for line in flood) + sum(line.get("omitted", 0) for line in flood) == FLOOD
    assert len(flood) < FLOOD
    assert [line["code"] for line in lines if line["message"] == "refused" and line not in flood] == ["InvalidArgument"]
    assert lines[-1]["message"] in ("stopping", "like lines were left out")


async def _refused(call: Awaitable[bytes]) -> None:
    with pytest.raises(grpc.aio.AioRpcError):
        await call
