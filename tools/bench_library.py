"""Lists of a large library, first and deep pages, and what its entry adds to the end of a job.

`python -m tools.bench_library [--entries 1000000]`: makes so many entries of one user, and ten times as many of others,
in a database of its own that is removed afterwards. Below each row is the same statement by psycopg alone.
"""

import argparse
import asyncio
import io
import sys
import tempfile
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import psycopg
from i2v.v1 import asset_pb2, asset_pb2_grpc
from PIL import Image
from psycopg.rows import dict_row
from sqlalchemy.dialects.postgresql import psycopg as psycopg_dialect

from services.orchestrator.domain import library_filter
from services.orchestrator.domain.library_details import Details
from services.orchestrator.domain.library_list import LibraryList, Order, OrderKey, Place
from services.orchestrator.store import library_pages
from services.orchestrator.store.library_entries import OF_JOB, details_columns
from tools.bench_service import Row
from tools.bench_usage import OWNER, Bench, milliseconds, opened, page

ENTRIES, OTHERS = 1_000_000, 10
"""Entries of the user, and how many times as many others have."""
PAGE, DEEP = 50, 999
"""Entries of a page, and pages before the deep one."""
ENTRY_MS = 1.0
SHA256 = "lpad(to_hex(number), 64, '0')"
# Every user of 11 has as many; only the first is asked.
FILL = (
    f"""INSERT INTO assets SELECT (jsonb_populate_record(assets, jsonb_build_object('sha256', {SHA256}, 'user',
        CASE number % {OTHERS + 1} WHEN 0 THEN assets."user" ELSE 'other-' || number % {OTHERS + 1} END))).*
    FROM assets, generate_series(1::bigint, :rows) AS number""",
    f"""INSERT INTO library_entries (tenant, "user", sha256, kind, size_bytes, title, tags, cost_micros, prompt,
        create_time, update_time)
    SELECT assets.tenant, assets."user", assets.sha256, 'image', number % 100000, 'picture ' || number,
        CASE WHEN number % 97 = 0 THEN ARRAY['chosen', 'old'] ELSE ARRAY['old'] END, number * 7919 % 1000003,
        'a common word' || CASE WHEN number % 9973 < 11 THEN ' seldom' ELSE '' END,
        now() - number * interval '1 second', now()
    FROM generate_series(1::bigint, :rows) AS number JOIN assets ON assets.sha256 = {SHA256}""",
    """INSERT INTO library_tags SELECT tenant, "user", unnest(tags), create_time, id FROM library_entries""",
)
DIALECT = psycopg_dialect.dialect()  # type: ignore[no-untyped-call]
LISTS: dict[str, dict[str, Any]] = {
    "newest": {},
    "by a tag": {"filter": "tags:chosen"},
    "a rare word, newest": {"query": "seldom"},
    "a common word, newest": {"query": "common"},
    "by cost": {"order_by": "cost desc"},
}


class Library:
    """The library of a user, through the server and by psycopg alone."""

    def __init__(self, bench: Bench, channel: grpc.aio.Channel, floor: psycopg.AsyncConnection[dict[str, Any]]) -> None:
        self.bench, self.floor = bench, floor
        self.assets: Any = asset_pb2_grpc.AssetServiceStub(channel)
        self.tenant, self.sha256 = "", ""

    async def fill(self, entries: int) -> None:
        """Uploads a picture, and makes copies of its rows."""
        drawn = io.BytesIO()
        Image.new("RGB", (64, 64), "teal").save(drawn, "PNG")
        picture = drawn.getvalue()
        header = asset_pb2.WriteAssetRequest(header=asset_pb2.WriteAssetHeader(size_bytes=len(picture)))
        parts = iter([header, asset_pb2.WriteAssetRequest(data=picture)])
        asset = await self.assets.WriteAsset(parts, metadata=self.bench.who)
        self.sha256 = asset.name.removeprefix("assets/")
        async with await psycopg.AsyncConnection.connect(self.bench.admin_url, autocommit=True) as connection:
            # Without the triggers, which count bytes and check keys row by row.
            await connection.execute("SET session_replication_role = replica")
            for statement in FILL:
                await connection.execute(statement.replace(":rows", str(entries * (OTHERS + 1))).encode())
            await connection.execute("VACUUM ANALYZE assets, library_entries, library_tags")
            found = await connection.execute("SELECT tenant FROM assets LIMIT 1")
            self.tenant = (await found.fetchone() or ("",))[0]

    async def rows(self, what: str, fields: dict[str, Any]) -> list[Row]:
        """Returns the times of the first and of a deep page of a list, each with its floor."""
        which = LibraryList(
            tenant=self.tenant,
            user=OWNER,
            filter=library_filter.parse(fields.get("filter", "")),
            words=fields.get("query", ""),
            order=Order(OrderKey.COST if "order_by" in fields else OrderKey.CREATE_TIME),
        )
        token, pages = await self._deep(fields)
        found = []
        for number, start in {1: "", pages + 1: token}.items():
            request = asset_pb2.ListAssetsRequest(page_size=PAGE, page_token=start, **fields)
            served = await milliseconds(partial(self.assets.ListAssets, request, metadata=self.bench.who))
            after = await self._place(which, (number - 1) * PAGE)
            alone = await milliseconds(partial(self._read, which, after, PAGE + 1))
            found.append(page(f"ListAssets, {what}, page {number:,}", served))
            found.append(Row("the same statement by psycopg alone", f"{alone:.1f} ms", "", True))
        return found

    async def entry(self) -> Row:
        """Returns what the entry adds to the transaction that ends a job."""
        values = details_columns(Details("a title")) | {
            "tenant": self.tenant,
            "user": OWNER,
            "sha256": self.sha256,
            "job_id": "a-job",
            "operation": "text-to-video",
            "model": "nano",
            "seed": 1,
            "prompt": "a common word",
            "cost_micros": 1,
            "parents": [],
            "now": datetime.now(UTC),
        }
        statement = str(OF_JOB.compile(dialect=DIALECT)).encode()

        async def insert() -> None:
            await self.floor.execute(statement, values)

        async def remove() -> None:
            await self.floor.execute("DELETE FROM library_entries WHERE sha256 = %(sha256)s", values)

        await remove()
        times = []
        for _ in range(100):
            times.append(await milliseconds(insert, 1))
            await remove()
        ms = sorted(times)[len(times) // 2]
        return Row("INSERT of an entry, in an open transaction", f"{ms:.2f} ms", f"≤ {ENTRY_MS} ms", ms <= ENTRY_MS)

    async def _deep(self, fields: dict[str, Any]) -> tuple[str, int]:
        """Returns the token of page DEEP + 1, or of the last full page, and the number of pages before it."""
        tokens = [""]
        while len(tokens) <= DEEP:
            request = asset_pb2.ListAssetsRequest(page_size=PAGE, page_token=tokens[-1], **fields)
            answer = await self.assets.ListAssets(request, metadata=self.bench.who)
            if not answer.next_page_token:
                if len(answer.assets) < PAGE and len(tokens) > 1:
                    tokens.pop()
                break
            tokens.append(answer.next_page_token)
        return tokens[-1], len(tokens) - 1

    async def _place(self, which: LibraryList, entries: int) -> Place | None:
        if not entries:
            return None
        last = (await self._read(which, None, entries))[-1]
        return Place(last["place"], last["id"])

    async def _read(self, which: LibraryList, after: Place | None, limit: int) -> list[dict[str, Any]]:
        compiled = library_pages.page(which, after, limit).compile(dialect=DIALECT)
        return await (await self.floor.execute(str(compiled).encode(), compiled.params)).fetchall()


async def main() -> int:
    """Prints the table."""
    parser = argparse.ArgumentParser(prog="python -m tools.bench_library", description=__doc__)
    parser.add_argument("--entries", type=int, default=ENTRIES)
    entries = parser.parse_args().entries
    with tempfile.TemporaryDirectory(prefix="i2v-bench-") as folder, ExitStack() as stack:
        async with (
            opened(Path(folder), stack) as bench,
            grpc.aio.insecure_channel(bench.server.address) as channel,
            # Not prepared, as searches of the service: a prepared statement gets a plan for any values.
            await psycopg.AsyncConnection.connect(bench.url, row_factory=dict_row, prepare_threshold=None) as floor,
        ):
            library = Library(bench, channel, floor)
            await library.fill(entries)
            print(
                f"| with {entries:,} entries of {entries * (OTHERS + 1):,} | measured | wanted | |\n|---|---|---|---|"
            )
            for what, fields in LISTS.items():
                for row in await library.rows(what, fields):
                    print(f"| {row.what} | {row.measured} | {row.wanted} | {'✓' if row.met else '✗'} |", flush=True)
            row = await library.entry()
            print(f"| {row.what} | {row.measured} | {row.wanted} | {'✓' if row.met else '✗'} |", flush=True)
            await floor.rollback()
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
