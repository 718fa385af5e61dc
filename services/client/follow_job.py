"""Follows a job from the command line: shows its events, carries out Ctrl-C, and downloads the video.

Every early end of the command prints what happens to the job, because the service goes on with it and charges for it.
"""

import asyncio
from collections.abc import Callable
from contextlib import aclosing, suppress

from i2v.v1 import job_pb2

from i2v_client import AsyncClient
from i2v_client.errors import I2VError, Unreachable
from i2v_client.output_file import OutputFile
from services.client import error_messages, formatting, money_format
from services.client.event_descriptions import describe
from services.client.exit_codes import ExitCode
from services.client.fragment_feed import FragmentFeed
from services.client.interrupt import Interrupt
from services.client.progress_display import Display, display
from services.client.shell_command import shell_command
from services.client.terminal import say
from services.client.view import View

RETRY_FOR_S = 120.0
"""Seconds. A running job is worth the wait for a server that restarts."""


async def make_video(
    client: AsyncClient, spec: job_pb2.JobSpec, out: OutputFile, *, quote_token: str = "", view: View
) -> ExitCode:
    """Submits a job, follows it and downloads the video. Ctrl-C cancels the job."""
    interrupt, ended = Interrupt(), False
    try:
        with interrupt:
            job = await client.submit(spec, quote_token=quote_token)
    except asyncio.CancelledError:
        if not interrupt.detached:
            raise
        _say(f"The job may have been submitted; {shell_command('jobs')} tells.")
        return ExitCode.INTERRUPTED
    if not view.json:
        _say(f"{job.name} is admitted for {money_format.text(job.quote)}.")
    try:
        async with view.opened(client) as (shown, feed):
            with interrupt:
                job = await _made(client, job, interrupt, shown, feed)
            ended = True
            await _save(client, job, out, shown.say)  # before the end of a player, which may be far
            if interrupt.cancel_requested.is_set():
                feed.stop()
    except (asyncio.CancelledError, I2VError):
        if not ended:
            _say(_still_running(job.name))
        if interrupt.detached:
            return ExitCode.INTERRUPTED
        raise
    _result(job, out, json=view.json)
    shown.say_warnings()
    return ExitCode.INTERRUPTED if interrupt.cancel_requested.is_set() else _code(job)


async def fetch_video(client: AsyncClient, name: str, out: OutputFile, *, json: bool) -> ExitCode:
    """Resumes a job, follows the one that fetches the video, and downloads it. Ctrl-C leaves it running."""
    job = await client.resume(name)
    if not json:
        _say(f"{job.name} fetches what was paid for.")
    try:
        with display(json=json) as shown:
            await _show(client, job.name, shown)
    except asyncio.CancelledError:
        _say(_still_running(job.name))
        raise
    job = await client.get(job.name)
    await _save(client, job, out, _say)
    _result(job, out, json=json)
    shown.say_warnings()
    return _code(job)


async def follow(client: AsyncClient, name: str, *, json: bool) -> job_pb2.Job:
    """Shows a job until it ends, and returns it. Ctrl-C leaves it running."""
    try:
        with display(json=json) as shown:
            await _show(client, name, shown)
    except asyncio.CancelledError:
        _say(_still_running(name))
        raise
    return await client.get(name)


async def watch_job(client: AsyncClient, name: str, *, after: int, view: View) -> ExitCode:
    """Follows a job that was submitted before. Ctrl-C leaves it running."""
    try:
        async with view.opened(client) as (shown, feed):
            await _show(client, name, shown, after, feed=feed)
    except asyncio.CancelledError:
        _say(_still_running(name))
        raise
    job = await client.get(name)
    if view.json:
        say(formatting.as_json(job))
    else:
        say(*(formatting.job(job) if job.state == job_pb2.Job.SUCCEEDED else formatting.failure(job)))
    shown.say_warnings()
    return _code(job)


async def warnings(client: AsyncClient, job: job_pb2.Job) -> list[str]:
    """Returns the warnings in a job's events so far."""
    found: list[str] = []
    if job.last_sequence:
        async with aclosing(client.watch(job.name)) as events:
            async for event in events:
                if warning := describe(event).warning:
                    found.append(warning)
                if event.sequence >= job.last_sequence:
                    break
    return found


async def _show(
    client: AsyncClient,
    name: str,
    shown: Display,
    after: int = 0,
    *,
    keys_to_detach: Callable[[], str] = lambda: "Ctrl-C",
    feed: FragmentFeed | None = None,
) -> None:
    """Shows a job's events until it ends, and outages. `keys_to_detach` returns how to leave it running."""

    def report_outage(error: Unreachable) -> None:
        left = f"{keys_to_detach()} leaves {name} running; {shell_command('watch', name)} shows it again."
        shown.say(f"{error_messages.outage(error)} Waiting for it, up to {RETRY_FOR_S:.0f} s. {left}")

    async for event in client.watch(
        name, after, retry_for_s=RETRY_FOR_S, on_outage=report_outage, on_heartbeat=shown.heartbeat
    ):
        shown.event(event)
        if feed is not None:
            feed.event(event)


async def _made(
    client: AsyncClient, job: job_pb2.Job, interrupt: Interrupt, shown: Display, feed: FragmentFeed
) -> job_pb2.Job:
    """Shows a job until it ends, and returns it. The first Ctrl-C cancels it."""
    cancelling = asyncio.create_task(_cancel(client, job.name, interrupt, shown))
    try:
        await _show(client, job.name, shown, keys_to_detach=lambda: interrupt.keys_to_detach, feed=feed)
    finally:
        cancelling.cancel()
        with suppress(asyncio.CancelledError):
            await cancelling
    return await client.get(job.name)


async def _cancel(client: AsyncClient, name: str, interrupt: Interrupt, shown: Display) -> None:
    """Cancels the job when the first Ctrl-C comes."""
    await interrupt.cancel_requested.wait()
    shown.say(f"Asking {name} to stop. Press Ctrl-C again to leave it alone.")
    try:
        await client.cancel(name)
    except I2VError as error:
        shown.say(f"{name} could not be asked to stop: {error.message}")


async def _save(client: AsyncClient, job: job_pb2.Job, out: OutputFile, report: Callable[[str], None]) -> None:
    """Downloads the video, if there is one."""
    if job.state != job_pb2.Job.SUCCEEDED:
        return
    try:
        if out.waits_for_a_reader:
            report(f"The video is written to the pipe {out} as soon as a program reads it.")
        await client.download(job.output.asset, out)
    except (asyncio.CancelledError, I2VError, OSError):
        again = shell_command("download", job.output.asset, "--out", str(out))
        report(f"The video was made but could not be saved here. {again} fetches it.")
        raise


def _result(job: job_pb2.Job, out: OutputFile, *, json: bool) -> None:
    if json:
        say(formatting.as_json(job))
    elif job.state == job_pb2.Job.SUCCEEDED:
        say(*formatting.video(job, str(out)), err=out.path is None)
    else:
        _say(*formatting.failure(job))


def _code(job: job_pb2.Job) -> ExitCode:
    return ExitCode.OK if job.state == job_pb2.Job.SUCCEEDED else ExitCode.NO_VIDEO


def _still_running(name: str) -> str:
    return f"{name} goes on. {shell_command('watch', name)} shows it, {shell_command('cancel', name)} stops it."


def _say(*lines: str) -> None:
    say(*lines, err=True)
