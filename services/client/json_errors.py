"""Errors of the command itself, such as a wrong option, as JSON on stderr where --json was typed."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click

from services.client.error_messages import own_as_json
from services.client.exit_codes import ExitCode
from services.client.terminal import say

OPTION = "--json"
_META = "i2v.json_errors"


class GroupWithJsonErrors(click.Group):
    """The group of all commands. The option counts also in front of what is wrong with a command, and behind it."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Reads the options before the command."""
        wanted = is_typed(args)
        with _as_json(wanted):
            context = super().make_context(info_name, args, parent, **extra)
        context.meta[_META] = wanted
        return context

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command."""
        with _as_json(ctx.meta[_META]):
            return super().invoke(ctx)


def is_typed(words: Sequence[str]) -> bool:
    """Returns whether the option is among the words of a call."""
    return OPTION in (words[: words.index("--")] if "--" in words else words)


@contextmanager
def _as_json(wanted: bool) -> Iterator[None]:
    try:
        yield
    except click.ClickException as error:
        if not wanted:
            raise
        say(own_as_json(ExitCode(error.exit_code), error.format_message()), err=True)
        raise click.exceptions.Exit(error.exit_code) from error
