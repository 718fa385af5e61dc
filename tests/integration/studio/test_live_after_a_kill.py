"""A worker is killed while players watch its job: their playlist goes on with the next worker's fragments."""

from fractions import Fraction
from pathlib import Path

from i2v.v1 import job_pb2

from tests.support import hls_rules
from tests.support.live_fragments import shown
from tests.support.live_rig import media, parts, sign
from tests.support.scripted_lives import live_client
from tests.support.served_orchestrator import text_spec
from tests.support.worker_processes import api_alone, worker

FPS, FRAMES = 32, 64
"""Two seconds, in four fragments of the fake backend."""


async def test_players_miss_nothing_when_a_worker_is_killed(database: str, tmp_path: Path) -> None:
    async with api_alone(database, tmp_path, FPS) as i2v, live_client(i2v.address, wait_s=60) as (http, _):
        with worker(database, tmp_path, I2V_FAKE_PAUSE_S="60") as first:
            job = await i2v.submit(text_spec(seconds=2))
            url = "http://studio" + (await sign(i2v, job.name)).url
            where, before = await media(http, url)
            first.kill()
        with worker(database, tmp_path):
            assert (await i2v.ended(job.name)).state == job_pb2.Job.SUCCEEDED
        while not hls_rules.media(after := (await http.get(where)).text).ended:
            pass
        hls_rules.grew(before, after)
        assert (await i2v.job(job.name)).attempt == 2
        made = await parts(http, where, after)
        whole = made[0][0] + b"".join(data for _, data in made)
        assert shown(whole) == [Fraction(number, FPS) for number in range(FRAMES)]
