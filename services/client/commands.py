"""The group of all commands of `i2v`, and what they have in common.

Results go to stdout, everything else to stderr.
"""

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from i2v.v1 import job_pb2

from i2v_client.output_file import OutputFile
from i2v_client.server_address import DEFAULT, addresses
from services.client import exit_codes
from services.client.connection import Connection, connection_of
from services.client.json_errors import GroupWithJsonErrors
from services.client.profiles.choice import Choice, choose, complete_profiles
from services.client.spec_options import FILE, utf8

STATES = [name for name in job_pb2.Job.State.keys() if name != "STATE_UNSPECIFIED"]  # noqa: SIM118  No dict.

Command = TypeVar("Command", bound=Callable[..., Any])


def _user(context: click.Context, parameter: click.Parameter, value: str) -> str:
    if not re.fullmatch(r"[ -~]{1,128}", value):
        raise click.BadParameter("1 to 128 printable ASCII characters")
    return value


def _server(context: click.Context, parameter: click.Parameter, value: str) -> str:
    try:
        addresses(value)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--server") from error
    return value


def named(collection: str) -> Callable[[click.Context, click.Parameter, str], str]:
    """Completes a name: `7` and `jobs/7` are the same job."""

    def full_name(context: click.Context, parameter: click.Parameter, value: str) -> str:
        name = utf8(context, parameter, value)
        return name if "/" in name else f"{collection}/{name}"

    return full_name


def output(typed: str, *, json: bool, **uploaded: Path | None) -> OutputFile:
    """Returns the output. Refuses one that cannot be written, before anything is paid, and one that is an input."""
    out = OutputFile.named(typed)
    if out.path is None and json:
        raise click.BadParameter("stdout cannot take both the video and --json", param_hint="--out")
    if typed == "-" and sys.stdout is not None and sys.stdout.isatty():
        raise click.BadParameter("a terminal does not show a video; name a file, or pipe stdout", param_hint="--out")
    try:
        out.check()
        for option, file in uploaded.items():
            if file is not None and out.path is not None and out.path.exists() and out.path.samefile(file):
                raise click.BadParameter(f"{typed} is the file of --{option} itself", param_hint="--out")
    except OSError as error:
        folder = Path(typed).absolute().parent
        why = error.strerror if folder.is_dir() else f"there is no folder {folder}"
        raise click.BadParameter(f"{typed!r} cannot be written: {why}", param_hint="--out") from error
    return out


OUT_HELP = "A file, a device, a pipe, or - for stdout."
VARIANT_HELP = (
    "thumbnail-128, -256 or -512 of a picture or a video; poster, preview, storyboard, storyboard.vtt or contact of a "
    "video; waveform of a sound."
)


@click.group(cls=GroupWithJsonErrors, epilog=exit_codes.HELP, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--profile",
    envvar="I2V_PROFILE",
    show_envvar=True,
    is_eager=True,
    callback=choose,
    shell_complete=complete_profiles,
    help="Server, key and user under a name: see `i2v profiles`. Options and the environment win over it.",
)
@click.option(
    "--server",
    envvar="I2V_SERVER",
    default=DEFAULT,
    show_default=True,
    show_envvar=True,
    callback=_server,
    help="host:port, or several, separated by commas: each call goes to one that serves.",
)
@click.option(
    "--user",
    envvar="I2V_USER",
    default="default",
    show_default=True,
    show_envvar=True,
    callback=_user,
    help="Whose jobs and library: each user of a key has their own.",
)
@click.option(
    "--key-file",
    envvar="I2V_KEY_FILE",
    type=FILE,
    show_envvar=True,
    help="File with the API key. Default: what I2V_KEY holds, else the profile's, else var/dev-key if it is there.",
)
@click.option("--tls", envvar="I2V_SERVER_TLS", is_flag=True, show_envvar=True, help="The server speaks TLS.")
@click.option(
    "--ca-file",
    envvar="I2V_SERVER_CA_FILE",
    type=FILE,
    show_envvar=True,
    help="Authorities to trust instead of the system's; implies --tls.",
)
@click.option(
    "--cert-file",
    envvar="I2V_SERVER_CERT_FILE",
    type=FILE,
    show_envvar=True,
    help="Certificate to show to a server that demands one; implies --tls.",
)
@click.option(
    "--cert-key-file", envvar="I2V_SERVER_CERT_KEY_FILE", type=FILE, show_envvar=True, help="Key of that certificate."
)
@click.option("--json", is_flag=True, help="JSON, one object a line, errors too. Also after a command.")
@click.version_option(package_name="i2v", message="%(prog)s %(version)s")
@click.pass_context
def i2v(
    context: click.Context,
    profile: Choice,
    server: str,
    user: str,
    key_file: Path | None,
    tls: bool,
    ca_file: Path | None,
    cert_file: Path | None,
    cert_key_file: Path | None,
    json: bool,
) -> None:
    """Makes videos out of pictures, with the service of the same name.

    \b
    Examples:
      i2v login
      i2v generate --image cat.png --prompt "the camera pans left" --preview
      i2v jobs --state running
    """
    profile.check(context.invoked_subcommand)
    context.obj = connection_of(context)


def command(name: str, group: click.Group = i2v, **settings: Any) -> Callable[[Command], click.Command]:
    """Makes a command that takes --json and gets the connection."""

    def made(function: Command) -> click.Command:
        def take(context: click.Context, parameter: click.Parameter, value: bool) -> None:
            context.find_object(Connection).json |= value  # type: ignore[union-attr]

        as_json = click.option(
            "--json", is_flag=True, expose_value=False, callback=take, help="JSON, one object a line."
        )
        return group.command(name, **settings)(as_json(click.pass_obj(function)))

    return made
