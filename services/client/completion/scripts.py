"""`i2v completion`: the script that makes a shell complete the command."""

import json
from typing import Any

import click
from click.shell_completion import BashComplete, FishComplete, ShellComplete, ZshComplete

from services.client.commands import command, i2v
from services.client.connection import Connection

SHELLS: dict[str, type[ShellComplete]] = {"bash": BashComplete, "zsh": ZshComplete, "fish": FishComplete}
LINE = {"bash": 'eval "$(i2v completion bash)"', "zsh": 'eval "$(i2v completion zsh)"', "fish": "i2v completion fish | source"}
HELP = f"""Prints the script that makes a shell complete options, commands, and names of models, jobs and assets.

\b
Put the line into the start file of the shell:
  ~/.bashrc                   {LINE["bash"]}
  ~/.zshrc, after compinit    {LINE["zsh"]}
  ~/.config/fish/config.fish  {LINE["fish"]}
"""


@command("completion")
@click.argument("shell", type=click.Choice(list(SHELLS)))
def completion(connection: Connection, shell: str) -> None:
    """Replaced by HELP."""
    # Of click's own source() bash's asks a bash for its version, which is wrong where the script goes to another host.
    script = Script(SHELLS[shell]).text()
    click.echo(json.dumps({"shell": shell, "script": script}) if connection.json else script)


class Script:
    """The script of a shell."""

    def __init__(self, shell: type[ShellComplete]) -> None:
        self._shell = shell(i2v, {}, "i2v", "_I2V_COMPLETE")

    def text(self) -> str:
        """Returns the source."""
        variables: dict[str, Any] = self._shell.source_vars()
        return self._shell.source_template % variables


completion.help = HELP
