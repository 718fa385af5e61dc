"""A command that a message proposes, written so that it can be copied into the same shell."""

import os
import shlex
import shutil
import sys

import click
from click.core import ParameterSource

NAME = "i2v"


def shell_command(*arguments: str) -> str:
    """Returns a command in backquotes, with the program and the options before the command as the person typed them."""
    return f"`{shlex.join([_program(), *_options(), *arguments])}`"


def _program() -> str:
    """Returns the bare name if a shell finds this program under it, else its path."""
    started = sys.argv[0]
    if os.path.basename(started) != NAME:
        return NAME
    found = shutil.which(NAME)
    return NAME if found and os.path.realpath(found) == os.path.realpath(started) else started


def _options() -> list[str]:
    context = click.get_current_context(silent=True)
    if context is None:
        return []
    root = context.find_root()
    options = []
    for each in root.command.params:
        if each.name and root.get_parameter_source(each.name) is ParameterSource.COMMANDLINE:
            flag = isinstance(each, click.Option) and each.is_flag
            options += [each.opts[0]] if flag else [each.opts[0], str(root.params[each.name])]
    return options
