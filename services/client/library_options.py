"""The command line's options for what the library says of a job's video."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import click
from i2v.v1 import library_pb2

from services.client.spec_options import utf8


def _each_utf8(context: click.Context, parameter: click.Parameter, values: Sequence[str]) -> tuple[str, ...]:
    return tuple(utf8(context, parameter, value) for value in values)


OPTIONS = (
    click.option("--title", default="", callback=utf8, help="In the library. Default: the prompt's beginning."),
    click.option("--description", default="", callback=utf8, help="In the library."),
    click.option("--tag", "tags", multiple=True, callback=_each_utf8, help="In the library. Repeatable."),
    click.option("--source-module", default="", callback=utf8, help="In the library: the module that asks for it."),
)


def with_library_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options for the library. The function gets what they say as `library`."""

    @functools.wraps(function)
    def called(*arguments: Any, title: str, description: str, tags: list[str], source_module: str, **given: Any) -> Any:
        library = library_pb2.LibraryDetails(
            title=title, description=description, tags=tags, source_module=source_module
        )
        return function(*arguments, library=library, **given)

    for option in reversed(OPTIONS):
        called = option(called)
    return called
