"""The commands for jobs, models and files."""

import json
from pathlib import Path
from typing import Any

import click
from i2v.v1 import job_pb2

from i2v_client import AsyncClient
from services.client import follow_job, formatting, preview_lines
from services.client.commands import OUT_HELP, STATES, VARIANT_HELP, command, named, output
from services.client.completion.names import completed
from services.client.connection import Connection
from services.client.exit_codes import ExitCode
from services.client.library_options import with_library_options
from services.client.spec_options import spec_from_options, utf8, with_spec_options
from services.client.spec_options import upload as upload_as
from services.client.terminal import say, terminal_columns
from services.client.upload_folder import upload_files
from services.client.view import view, with_view_options


@command("generate")
@with_spec_options
@with_library_options
@click.option("--out", help=f"{OUT_HELP} Default: the picture's name in this folder.")
@click.option("--detach", is_flag=True, help="Only submit; print the job's name.")
@click.option("--quote", default="", callback=utf8, help="The quote that preview printed: only for its price.")
@with_view_options
def generate(
    connection: Connection,
    image: Path | None,
    out: str | None,
    detach: bool,
    quote: str,
    preview: bool,
    graphics: str | None,
    play: bool,
    **given: Any,
) -> None:
    """Makes a video and downloads it. Ctrl-C cancels the job, a second one leaves it alone.

    \b
    Examples:
      i2v generate --image cat.png --prompt "the camera pans left" --out cat.mp4
      i2v generate --prompt "a wave" --duration 2 --seed 7 --out - | ffplay -
    """
    typed = out if out is not None else f"{image.stem if image else 'video'}.mp4"
    uploaded = {"image": image, "audio": given["audio"], "mask": given["mask"]}
    if detach and (out or preview or graphics or play):
        raise click.UsageError(
            "--detach does not wait for the video: leave out --out, --preview, --graphics and --play."
        )
    to = None if detach else output(typed, json=connection.json, **uploaded)
    shown = view(preview=preview, graphics=graphics, play=play, json=connection.json)

    async def work(client: AsyncClient) -> ExitCode:
        spec = await spec_from_options(client, image=image, **given)
        if to is not None:
            return await follow_job.make_video(client, spec, to, quote_token=quote, view=shown)
        job = await client.submit(spec, quote_token=quote)
        say(formatting.as_json(job) if connection.json else job.name)
        return ExitCode.OK

    connection.run(work)


@command("preview")
@with_spec_options
@with_library_options
def preview(connection: Connection, image: Path | None, **given: Any) -> None:
    """Tells what generate would make and cost, what is left of each limit, and all that would refuse it.

    Charges nothing. The exit code is 3 if generate would be refused.
    """

    async def work(client: AsyncClient) -> ExitCode:
        found = await client.preview(await spec_from_options(client, image=image, **given))
        say(*([formatting.as_json(found)] if connection.json else preview_lines.lines(found)))
        return ExitCode.OK if found.admissible else ExitCode.REFUSED

    connection.run(work)


@command("jobs")
@click.option("--state", type=click.Choice(STATES, case_sensitive=False), help="Only jobs in this state.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True)
def jobs(connection: Connection, state: str | None, limit: int) -> None:
    """Lists jobs, the newest first."""

    async def work(client: AsyncClient) -> None:
        wanted = job_pb2.Job.State.Value(state or "STATE_UNSPECIFIED")
        found: list[job_pb2.Job] = []
        async for job in client.jobs(wanted, page_size=min(limit, 200)):
            found.append(job)
            if len(found) == limit:
                break
        say(*(map(formatting.as_json, found) if connection.json else formatting.jobs(found, terminal_columns())))

    connection.run(work)


@command("job")
@click.argument("name", callback=named("jobs"), shell_complete=completed("jobs"))
def job(connection: Connection, name: str) -> None:
    """Shows a job and its warnings."""

    async def work(client: AsyncClient) -> None:
        found = await client.get(name)
        if connection.json:
            say(formatting.as_json(found))
            return
        say(*formatting.job(found))
        say(*map(formatting.warning, await follow_job.warnings(client, found)))

    connection.run(work)


@command("watch")
@click.argument("name", callback=named("jobs"), shell_complete=completed("jobs"))
@click.option("--after", type=click.IntRange(0), default=0, help="Last sequence number already seen.")
@with_view_options
def watch(connection: Connection, name: str, after: int, preview: bool, graphics: str | None, play: bool) -> None:
    """Shows a job's events until it ends. Ctrl-C leaves the job alone."""
    shown = view(preview=preview, graphics=graphics, play=play, json=connection.json)
    connection.run(lambda client: follow_job.watch_job(client, name, after=after, view=shown))


@command("cancel")
@click.argument("name", callback=named("jobs"), shell_complete=completed("jobs"))
def cancel(connection: Connection, name: str) -> None:
    """Asks a job to stop. What was made by then is charged."""

    async def work(client: AsyncClient) -> None:
        found = await client.cancel(name)
        say(*([formatting.as_json(found)] if connection.json else formatting.job(found)))

    connection.run(work)


@command("delete")
@click.argument("names", metavar="JOB...", nargs=-1, required=True, shell_complete=completed("jobs"))
@click.option("--stop", is_flag=True, help="Stop a job that has not ended, and delete it. What was made is charged.")
def delete(connection: Connection, names: tuple[str, ...], stop: bool) -> None:
    """Deletes ended jobs from your lists. There is no way back.

    Their charges stay, and their videos stay in the library: `i2v assets rm` deletes those.
    """

    async def work(client: AsyncClient) -> None:
        for name in names:
            found = await client.delete_job(name if "/" in name else f"jobs/{name}", stop=stop)
            say(formatting.as_json(found) if connection.json else f"{found.name} was deleted.")

    connection.run(work)


@command("resume")
@click.argument("name", callback=named("jobs"), shell_complete=completed("jobs"))
@click.option("--out", default="video.mp4", show_default=True, help=OUT_HELP)
def resume(connection: Connection, name: str, out: str) -> None:
    """Fetches the video of a job that failed though a vendor was paid for it. Costs nothing again."""
    to = output(out, json=connection.json)
    connection.run(lambda client: follow_job.fetch_video(client, name, to, json=connection.json))


@command("models")
def models(connection: Connection) -> None:
    """Lists the models, what they make and what it costs."""

    async def work(client: AsyncClient) -> None:
        found = await client.models()
        say(*(map(formatting.as_json, found) if connection.json else formatting.models(found)))

    connection.run(work)


@command("upload")
@click.argument("paths", metavar="PATH...", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
def upload(connection: Connection, paths: tuple[Path, ...]) -> None:
    """Uploads pictures, sounds and videos and prints their assets' names. A folder: all files in it.

    A file that is refused is named with the reason, the others are uploaded, and the exit code is that of the last
    refusal.
    """

    async def one(client: AsyncClient) -> None:
        found = await upload_as(client, paths[0], str(paths[0]))
        say(formatting.as_json(found) if connection.json else found.name)

    async def many(client: AsyncClient) -> ExitCode:
        return await upload_files(client, paths, json=connection.json)

    connection.run(one if len(paths) == 1 and not paths[0].is_dir() else many)


@command("download")
@click.argument("asset", callback=named("assets"), shell_complete=completed("assets"))
@click.option("--out", required=True, help=OUT_HELP)
@click.option("--variant", default="", callback=utf8, metavar="NAME", help=VARIANT_HELP)
def download(connection: Connection, asset: str, out: str, variant: str) -> None:
    """Downloads a video, a picture or a sound, whole and checked; or a variant, which is made if it is missing."""
    to = output(out, json=connection.json)

    async def work(client: AsyncClient) -> None:
        size = await client.download(asset, to, variant)
        if connection.json:
            say(json.dumps({"asset": asset, "file": out, "size_bytes": size}))
        else:
            say(f"{out}: {size} bytes", err=to.path is None)

    connection.run(work)
