"""A process whose database's URL comes from a file: everything in it connects without a password in its URL."""

from pathlib import Path
from typing import Any

import sqlalchemy as sa
from i2v.v1 import job_pb2

from services.orchestrator.store.database import driver_url
from tests.support.builders import ScriptedBackend
from tests.support.served_orchestrator import served, text_spec


async def test_jobs_run_with_a_database_url_from_a_file(database: str, tmp_path: Path) -> None:
    file = tmp_path / "database-url"
    url = sa.make_url(driver_url(database)).set(password="a%:secret").render_as_string(hide_password=False)
    file.write_text(url)

    def change(values: dict[str, Any]) -> None:
        values |= {"database_url": url, "database_url_file": str(file)}

    async with served(database, tmp_path / "data", {"test": (ScriptedBackend(), 1)}, change=change) as i2v:
        ended = await i2v.ended((await i2v.submit(text_spec())).name)
    assert ended.state == job_pb2.Job.SUCCEEDED
