"""Readers over HTTP that take nothing: the real process before a real API."""

import asyncio
import socket
from pathlib import Path

import pytest

from tests.support import sounds
from tests.support.blob_stores import until
from tests.support.event_source import counted
from tests.support.studio_rig import before_an_api

KEY = {"Authorization": "Bearer studio-key", "I2V-User": "ann"}


async def test_a_reader_that_takes_nothing_loses_its_connection(database: str, tmp_path: Path) -> None:
    async with before_an_api(database, tmp_path, None, {"STALL_S": "0.5"}) as rig:
        asset = await rig.i2v.upload(sounds.a_sound("audio/wav", 300.0), "audio/*")
        host, _, port = rig.address.removeprefix("http://").rpartition(":")
        reader = socket.create_connection((host, int(port)))
        head = "".join(f"{name}: {value}\r\n" for name, value in KEY.items())
        reader.sendall(f"GET /v1/{asset.name}/content HTTP/1.1\r\nHost: studio\r\n{head}\r\n".encode())

        async def given_up() -> bool:
            sent = await counted(rig.http, rig.metrics, "i2v_studio_sent_bytes_total")
            return sent > 0 and await counted(rig.http, rig.metrics, "i2v_studio_requests_open") == 0

        await until(given_up)
        with pytest.raises(ConnectionResetError):
            while await asyncio.to_thread(reader.recv, 1 << 20):
                pass
        reader.close()
