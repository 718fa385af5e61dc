"""`i2v batch`: the command and its options, with the names of Self-Forcing's `inference.py`."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import click
from i2v.v1 import job_pb2

from i2v_client import AsyncClient
from services.client.batch.batch_folder import BatchFolder
from services.client.batch.job_options import JobOptions
from services.client.batch.maker import RETRY_FOR_S
from services.client.batch.plan import Naming
from services.client.batch.row import BadInput
from services.client.batch.sources import Source
from services.client.batch.table_rows import SEED_MOST
from services.client.batch.work import Batch
from services.client.commands import Command, command
from services.client.connection import Connection
from services.client.exit_codes import ExitCode
from services.client.spec_options import FILE, FITS, OPTIONS, QUALITIES, utf8

AT_ONCE, AT_ONCE_MOST = 8, 256
SAMPLES_MOST = 1000
SHARED = ("model", "capability", "price_max", "duration", "size", "resolution", "quality", "fit", "guidance")
"""The options of `generate` that hold for all videos."""


class UnusableInput(click.ClickException):
    """The input cannot be read as a whole, or the folder cannot be used for it."""

    exit_code = ExitCode.USAGE


def both(name: str, **more: Any) -> Callable[[Command], Command]:
    """Returns an option with the original's name, with underscores, and with dashes."""
    names = [f"--{name}", *([f"--{name.replace('_', '-')}"] if "_" in name else [])]
    return click.option(*names, name, **more)


def _refuse(context: click.Context, parameter: click.Parameter, given: Any) -> None:
    if given not in (None, False):
        raise click.BadParameter("the service has its own models; leave it out, and choose one with --model")


def _of_the_original(function: Command) -> Command:
    """Adds the original's options that mean nothing here, so that its command line gets an answer to each."""
    for name, flag in (("config_path", False), ("checkpoint_path", False), ("use_ema", True)):
        function = both(name, is_flag=flag, hidden=True, expose_value=False, callback=_refuse)(function)
    return function


def _shared(function: Command) -> Command:
    probe: Any = lambda: None  # noqa: E731  what click notes an option on
    for option in reversed(OPTIONS):
        parameter = option(probe).__click_params__[-1]
        if parameter.name in SHARED:
            function = option(function)
    return function


@command("batch")
@both(
    "data_path",
    required=True,
    type=click.Path(exists=True, path_type=Path),
    help="A folder, .csv, .jsonl, a data set of Self-Forcing, or a text file with a line for each video.",
)
@both("output_folder", required=True, type=click.Path(file_okay=False, path_type=Path), help="Of the videos.")
@both("i2v", is_flag=True, help="Every row has a picture; lines of a text file are PICTURE|PROMPT.")
@both("num_output_frames", type=click.IntRange(1, 10_000), help="Latents: 21 are 81 frames. Default: the model's.")
@both("seed", type=click.IntRange(0, SEED_MOST), default=0, show_default=True, help="Of the first sample.")
@both("num_samples", type=click.IntRange(1, SAMPLES_MOST), default=1, show_default=True, help="Videos of each row.")
@both("extended_prompt_path", type=FILE, help="A line for each row: the prompt that makes its video.")
@both("save_with_index", is_flag=True, help="Names files by the row's number, from 0, and not by the prompt.")
@both("prompt", default="", callback=utf8, help="For rows without one, such as pictures of a folder.")
@both("dry_run", is_flag=True, help="Only the price of what is missing, and all that would be refused.")
@both("accept_changes", is_flag=True, help="Makes changed rows although their earlier videos are paid for.")
@both("at_once", type=click.IntRange(1, AT_ONCE_MOST), default=AT_ONCE, show_default=True, help="Jobs, at most.")
@_shared
@_of_the_original
def batch(connection: Connection, /, **given: Any) -> None:
    """Makes a video of each row of an input. A second call makes only what is missing.

    The journal in the folder .i2v-batch of the output folder knows what was submitted, so nothing is paid for twice.

    \b
    Examples:
      i2v batch --data_path cats.csv --output_folder made --dry-run
      i2v batch --data_path pairs.txt --output_folder made --i2v --num_output_frames 21
    """
    if given["num_output_frames"] and (given["duration"] or given["capability"]):
        raise click.UsageError("--num_output_frames goes with a --model of our own, and without --duration.")
    options = _options(given)
    work = Batch(
        source=Source(given["data_path"], given["i2v"], given["prompt"], given["extended_prompt_path"]),
        folder=BatchFolder(given["output_folder"]),
        naming=Naming(given["num_samples"], given["seed"], given["save_with_index"], options.text()),
        options=options,
        at_once=given["at_once"],
        accept_changes=given["accept_changes"],
        server=connection.server,
        user=connection.user,
        json=connection.json,
        patient=partial(connection.client, retry_for_s=RETRY_FOR_S),
    )

    async def run(client: AsyncClient) -> ExitCode:
        try:
            return await (work.price(client) if given["dry_run"] else work.make(client))
        except BadInput as error:
            raise UnusableInput(f"{error}.") from error

    connection.run(run)


def _options(given: dict[str, Any]) -> JobOptions:
    model = given["model"] if given["model"] is not None else "" if given["capability"] else "nano"
    return JobOptions(
        model=model,
        capability=given["capability"],
        price_max=given["price_max"],
        duration_ms=round(given["duration"] * 1000) if given["duration"] else None,
        latents=given["num_output_frames"],
        size=given["size"],
        resolution=given["resolution"],
        quality=QUALITIES[given["quality"]] if given["quality"] else job_pb2.JobSpec.QUALITY_UNSPECIFIED,
        fit=FITS[given["fit"]],
        guidance=given["guidance"],
    )
