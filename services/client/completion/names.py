"""Names for completion in a shell, from the server.

If the server does not answer in time there are none. No error is shown.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any

import click
from click.shell_completion import CompletionItem
from i2v.v1 import job_pb2

from i2v_client import AsyncClient
from i2v_client.errors import I2VError
from services.client.connection import connection_of
from services.client.terminal import visible

WITHIN_S = 1.0
"""Seconds: a person waits for this at a keystroke."""
MOST = 50
PLAIN = re.compile(r"[\w.-]+(/[\w.-]+)*", re.ASCII)
"""What a shell takes as one word, unquoted."""
Found = list[tuple[str, str]]
"""Names, and a line about each."""


async def _models(client: AsyncClient) -> Found:
    return [(each.name.removeprefix("models/"), each.display_name) for each in await client.models()]


async def _jobs(client: AsyncClient) -> Found:
    async with aclosing(client.jobs(page_size=MOST)) as jobs:
        return [(each.name, _job(each)) for each in await _first(jobs)]


async def _assets(client: AsyncClient) -> Found:
    async with aclosing(client.library.assets(page_size=MOST)) as assets:
        return [(each.name, each.details.title or each.media_type) for each in await _first(assets)]


SOURCES: dict[str, Callable[[AsyncClient], Awaitable[Found]]] = {"models": _models, "jobs": _jobs, "assets": _assets}


def completed(collection: str) -> Callable[[click.Context, click.Parameter, str], list[CompletionItem]]:
    """Returns what completes names of a collection: as `jobs/7` if the word begins so, else as `7`."""

    def complete(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
        prefix = f"{collection}/"
        whole = incomplete.startswith(prefix)
        items = []
        for name, about in names(context, collection):
            word = name if whole else name.removeprefix(prefix)
            if word.startswith(incomplete) and PLAIN.fullmatch(word):
                items.append(CompletionItem(word, help=visible(about)[:60] or None))
        return items

    return complete


def names(context: click.Context, collection: str) -> Found:
    """Returns the names of a collection; none without a key or an answer in time."""
    options = context.find_root().params
    if not (options.get("server") and options.get("user")) or options["profile"].problem:
        return []
    try:
        return asyncio.run(_asked(context, SOURCES[collection]))
    except (I2VError, TimeoutError, OSError, click.ClickException):
        return []


async def _asked(context: click.Context, source: Callable[[AsyncClient], Awaitable[Found]]) -> Found:
    async with asyncio.timeout(WITHIN_S), connection_of(context).client(retry_for_s=0) as client:
        return await source(client)


async def _first(found: AsyncIterator[Any]) -> list[Any]:
    kept: list[Any] = []
    async for each in found:
        kept.append(each)
        if len(kept) == MOST:
            break
    return kept


def _job(job: job_pb2.Job) -> str:
    return f"{job_pb2.Job.State.Name(job.state)} {job.spec.model}".rstrip()
