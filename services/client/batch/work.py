"""A whole call of `i2v batch`: reads the input, then makes what is missing, or asks for its price."""

import asyncio
import json
import threading
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from itertools import chain
from time import monotonic

from i2v.v1 import job_pb2

from i2v_client import AsyncClient
from i2v_client.errors import Unauthenticated, Unreachable
from services.client import error_messages
from services.client.batch import plan, prices, summary
from services.client.batch.batch_bar import BatchBar
from services.client.batch.batch_folder import BatchFolder
from services.client.batch.commits import SharedCommits
from services.client.batch.item import State
from services.client.batch.job_options import JobOptions
from services.client.batch.journal import Journal
from services.client.batch.maker import PLACES, RETRY_FOR_S, Made, Maker
from services.client.batch.pictures import Pictures
from services.client.batch.row import BadInput
from services.client.batch.run import run
from services.client.batch.same_server import demand_same_server
from services.client.batch.sources import Source
from services.client.exit_codes import ExitCode
from services.client.interrupt import Interrupt
from services.client.terminal import say
from services.reasons import AccessReason


@dataclass(frozen=True, slots=True)
class Batch:
    """What the caller asked for."""

    source: Source
    folder: BatchFolder
    naming: plan.Naming
    options: JobOptions
    at_once: int
    accept_changes: bool
    server: str
    user: str
    json: bool
    patient: Callable[[], AsyncClient]
    """Makes a client that waits long for a server that restarts."""

    async def make(self, client: AsyncClient) -> ExitCode:
        """Makes what is missing. Raises BadInput, I2VError, OSError."""
        with self.folder.locked(), Journal(self.folder.journal) as journal, journal.as_os_errors():
            await self._read(journal)
            await demand_same_server(journal, client, self.server, self.user)
            options, at_once = await self._options(client), await self._places(client)
            say(*summary.some(chain(journal.faults(), journal.failures())), err=True)
            commits = SharedCommits(journal)
            try:
                async with self.patient() as patient:
                    return await self._run(patient, journal, commits, options, at_once)
            finally:
                await commits.close()

    async def price(self, client: AsyncClient) -> ExitCode:
        """Says what it would cost, and all that would be refused. Raises BadInput, I2VError, OSError."""
        with ExitStack() as opened:
            here = self.folder.journal.exists()
            if here:
                opened.enter_context(self.folder.locked())
            journal = opened.enter_context(Journal(self.folder.journal if here else None))
            opened.enter_context(journal.as_os_errors())
            await self._read(journal)
            if here:
                await demand_same_server(journal, client, self.server, self.user)
            options, commits = await self._options(client), SharedCommits(journal)
            pictures = Pictures(self.source.root, client, journal, commits)

            def refuse(row: int, why: str) -> None:
                say(json.dumps({"row": row + 1, "refused": why}) if self.json else summary.problem(row, why))

            try:
                found = await prices.prices(client, journal, pictures, options, refuse)
            finally:
                await commits.close()
            totals = journal.totals()
        said = [summary.priced_json(found, totals)] if self.json else summary.priced(found, totals)
        say(*said)
        return ExitCode.REFUSED if found.refused or found.exceeded else ExitCode.OK

    async def _read(self, journal: Journal) -> None:
        stopped = threading.Event()
        reading = asyncio.create_task(
            asyncio.to_thread(
                plan.read,
                self.source,
                journal,
                self.folder,
                self.naming,
                accept_changes=self.accept_changes,
                stopped=stopped.is_set,
            )
        )
        try:
            changes = await asyncio.shield(reading)
        except asyncio.CancelledError:
            stopped.set()
            with suppress(BadInput):
                await reading
            raise
        if changes.new or changes.gone:
            before = f"{changes.new} videos are new, {changes.gone} that were submitted are gone from it"
            say(f"The input has changed since the call before: {before}.", err=True)

    async def _options(self, client: AsyncClient) -> JobOptions:
        if self.options.latents is None:
            return self.options
        return self.options.with_model(await client.model(f"models/{self.options.model}"))

    async def _run(
        self, client: AsyncClient, journal: Journal, commits: SharedCommits, options: JobOptions, at_once: int
    ) -> ExitCode:
        began, made_now = monotonic(), 0
        bar, interrupt = BatchBar(journal.missing_number()), Interrupt()
        pictures = Pictures(self.source.root, client, journal, commits)

        def outage(error: Unreachable) -> None:
            bar.say(f"{error_messages.outage(error)} Waiting for it, up to {RETRY_FOR_S:.0f} s.")

        def show(made: Made) -> None:
            nonlocal made_now
            made_now += not made.problem
            if made.problem:
                bar.say(f"{made.item.label}: {made.problem}")
            if self.json:
                say(_json(made))
            bar.done()

        maker = Maker(
            client, journal, commits, self.folder, pictures, options, interrupt.cancel_requested, on_outage=outage
        )
        error = None
        try:
            with interrupt, bar:
                announcing = asyncio.create_task(_announce(maker.stop, bar))
                try:
                    error = await run(maker, at_once, show)
                finally:
                    announcing.cancel()
        except asyncio.CancelledError:
            if not interrupt.detached:
                raise
            say("What was submitted goes on; the same command fetches it.", err=True)
        totals, seconds = await commits.make(journal.totals), monotonic() - began
        if self.json:
            say(summary.ended_json(totals, made_now, seconds))
        say(summary.ended(totals, made_now, seconds), err=True)
        if error is not None:
            raise error
        if maker.stop.is_set():
            return ExitCode.INTERRUPTED
        if totals.of(State.FAILED):
            return ExitCode.NO_VIDEO
        return ExitCode.OK if totals.of(State.DONE) == sum(totals.states.values()) + totals.faults else ExitCode.REFUSED

    async def _places(self, client: AsyncClient) -> int:
        """Returns how many jobs there may be at a time, by the plan and by the caller."""
        try:
            limits = (await client.usage()).limits
        except Unauthenticated as error:
            if error.reason != AccessReason.SCOPE_MISSING:
                raise
            return self.at_once
        most = [each.limit for each in limits if _is_place(each)]
        return max(min([self.at_once, *most]), 1)


def _is_place(limit: job_pb2.LimitStatus) -> bool:
    return limit.HasField("limit") and limit.per == "at-a-time" and limit.measure in PLACES


async def _announce(stop: asyncio.Event, bar: BatchBar) -> None:
    await stop.wait()
    bar.say("Nothing more is submitted. Waiting for what is on its way; Ctrl-C leaves it to the service.")


def _json(made: Made) -> str:
    found = {
        "row": made.item.row + 1,
        "sample": made.item.sample,
        "file": made.item.name if not made.problem else None,
        "job": made.job.name if made.job else None,
        "charged_micros": made.job.charged.amount_micros if made.job else None,
        "problem": made.problem or None,
    }
    return json.dumps(found)
