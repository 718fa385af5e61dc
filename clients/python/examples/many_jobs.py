"""Makes many videos at once: every prompt of a file is a job; a limit that frees itself is waited for.

    I2V_SERVER=127.0.0.1:50051 I2V_KEY=… python many_jobs.py prompts.txt videos

Each job's request_id follows from its prompt. So the program may be stopped and run again: what was submitted before is
found, not paid for twice.
"""

import asyncio
import os
import sys
import uuid
from pathlib import Path

from i2v_client import AsyncClient, QuotaExceeded, job_spec

AT_ONCE = 8
NAMESPACE = uuid.UUID("5f0c1e0a-8f3d-4c6e-9d55-0f2b7a1c9e11")


async def make(i2v: AsyncClient, prompt: str, folder: Path) -> str:
    """Returns what became of a prompt."""
    request_id = str(uuid.uuid5(NAMESPACE, prompt))
    while True:
        try:
            job = await i2v.submit(job_spec(prompt, duration_s=1, seed=1), request_id)
            break
        except QuotaExceeded as error:
            if error.retry_after_s is None:
                return f"refused: {error}"
            await asyncio.sleep(error.retry_after_s)
    async for _ in i2v.watch(job.name):
        pass
    job = await i2v.get(job.name)
    if not job.output.asset:
        return f"{job.name} failed: {job.error.reason}"
    file = folder / f"{job.name.removeprefix('jobs/')}.mp4"
    await i2v.download(job.output.asset, file)
    return f"{file}: {job.charged.amount_micros / 1e6:.4f} {job.charged.currency_code}"


async def main(prompts: Path, folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    free = asyncio.Semaphore(AT_ONCE)
    async with AsyncClient(os.environ["I2V_SERVER"], os.environ["I2V_KEY"]) as i2v:

        async def one(prompt: str) -> None:
            async with free:
                print(prompt, "→", await make(i2v, prompt, folder))

        async with asyncio.TaskGroup() as tasks:
            for prompt in prompts.read_text().splitlines():
                tasks.create_task(one(prompt))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2])))
