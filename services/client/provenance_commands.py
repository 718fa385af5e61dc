"""`i2v manifest`, `i2v verify` and `i2v rerun`: how videos were made, and whether that is true."""

import json
import re
from pathlib import Path

import click
from i2v.v1 import job_pb2, provenance_pb2

from i2v_client import AsyncClient
from services.client import follow_job, formatting, rerun, verification_text
from services.client.commands import command, named
from services.client.completion.names import completed
from services.client.connection import Connection
from services.client.exit_codes import ExitCode
from services.client.spec_options import utf8
from services.client.terminal import say

ASSET = re.compile(r"assets/[0-9a-f]{64}")


@command("manifest")
@click.argument("asset", callback=named("assets"), shell_complete=completed("assets"))
def manifest(connection: Connection, asset: str) -> None:
    """Shows how a video was made, as JSON."""

    async def work(client: AsyncClient) -> None:
        body = json.loads((await client.provenance.manifest(asset)).json)
        say(*json.dumps(body, ensure_ascii=False, indent=None if connection.json else 2).splitlines())

    connection.run(work)


@command("verify")
@click.argument("file", callback=utf8)
def verify(connection: Connection, file: str) -> None:
    """Tells who made a file, and whether it was altered. FILE is a file, or `assets/...`.

    The exit code is 0 if this service made it and it is as it was signed, else 7.
    """
    source = file if ASSET.fullmatch(file) else Path(file)
    if isinstance(source, Path) and not source.is_file():
        raise click.BadParameter(f"there is no file {file!r}", param_hint="FILE")

    async def work(client: AsyncClient) -> ExitCode:
        found = await client.provenance.verify(source)
        say(*([formatting.as_json(found)] if connection.json else verification_text.lines(found)))
        genuine = found.verdict == provenance_pb2.Verification.GENUINE
        return ExitCode.OK if genuine else ExitCode.DIFFERENT

    connection.run(work)


@command("rerun")
@click.argument("name", callback=named("jobs"), shell_complete=completed("jobs"))
def rerun_job(connection: Connection, name: str) -> None:
    """Makes the video of a job again, with the same spec and seed, and compares both. Costs what the job costs now.

    The exit code is 0 if all frames are the same, else 7. A prompt that was written from a scene is written again.
    """

    async def work(client: AsyncClient) -> ExitCode:
        job = await client.get(name)
        if job.state != job_pb2.Job.SUCCEEDED:
            raise click.BadParameter(f"{name} has no video", param_hint="NAME")
        again = await client.submit(rerun.spec_again(job))
        if not connection.json:
            say(f"{again.name} makes the video of {name} again.", err=True)
        again = await follow_job.follow(client, again.name, json=connection.json)
        if again.state != job_pb2.Job.SUCCEEDED:
            job_lines = [formatting.as_json(again)] if connection.json else formatting.failure(again)
            say(*job_lines, err=not connection.json)
            return ExitCode.NO_VIDEO
        found = await rerun.compare(client, job.output.asset, again.output.asset)
        say(_as_json(job, again, found) if connection.json else _sentence(job, again, found))
        return ExitCode.OK if found.same_frames else ExitCode.DIFFERENT

    connection.run(work)


def _sentence(job: job_pb2.Job, again: job_pb2.Job, found: rerun.Comparison) -> str:
    frames = f"all {found.frames} frames are the same"
    if found.different_frame is not None:
        frames = f"frame {found.different_frame} and perhaps later ones differ"
    unsigned = {True: "the same", False: "different", None: "unknown: a manifest is missing"}[found.same_bytes]
    return f"{job.name} and {again.name}: {frames}; the bytes before signing are {unsigned}."


def _as_json(job: job_pb2.Job, again: job_pb2.Job, found: rerun.Comparison) -> str:
    said = {
        "job": job.name,
        "again": again.name,
        "frames": found.frames,
        "sameFrames": found.same_frames,
        "sameUnsignedBytes": found.same_bytes,
        "unsignedSha256": found.unsigned_sha256,
    }
    return json.dumps(said)
