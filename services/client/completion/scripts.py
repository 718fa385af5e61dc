"""`i2v completion`: the script that makes a shell complete the command."""

import json

import click
from click.shell_completion import BashComplete, FishComplete, ShellComplete, ZshComplete

from services.client.commands import command, i2v
from services.client.connection import Connection

SHELLS: dict[str, type[ShellComplete]] = {"bash": BashComplete, "zsh": ZshComplete, "fish": FishComplete}
HELP = """Prints the script that makes a shell complete options, commands, and names of models, jobs and assets.

\b
Put the line into the start file of the shell:
  ~/.bashrc                   eval "$(i2v completion bash)"
  ~/.zshrc, after compinit    eval "$(i2v completion zsh)"
  ~/.config/fish/config.fish  i2v completion fish | source
"""


@command("completion", help=HELP)
@click.argument("shell", type=click.Choice(list(SHELLS)))
def completion(connection: Connection, shell: str) -> None:
    """Prints the script of a shell."""
    script = SHELLS[shell](i2v, {}, "i2v", "_I2V_COMPLETE")
    # Not source(): that of bash runs a bash to learn its version, and the script may be for another machine.
    text = script.source_template % script.source_vars()
    click.echo(json.dumps({"shell": shell, "script": text}) if connection.json else text)
