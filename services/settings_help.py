"""What people read about settings: the `--help` of a process, and the rows of a page's table."""

import re
import textwrap
from collections.abc import Iterator

from services.settings import EnvironmentSettings, ProcessSettings


def described(settings: type[EnvironmentSettings]) -> Iterator[tuple[str, str, str]]:
    """Yields the name of each setting in capitals, its default as text, and its meaning in Markdown.

    The settings that every process has come last. A default is `empty`, `needed`, or the text that sets it.
    """
    fields = settings.model_fields
    for name in sorted(fields, key=lambda name: name in ProcessSettings.model_fields):
        default, meaning = fields[name].get_default(), " ".join((fields[name].description or "").split())
        if default is None:
            text = "needed"
        elif isinstance(default, bool):
            text = str(default).lower()
        else:
            text = str(default) or "empty"
        yield name.upper(), text, meaning


def help_text(usage: str, prefix: str, settings: type[ProcessSettings]) -> str:
    """Returns the help of a process: its usage, then each variable with its default and one sentence."""
    lines = [f"{usage}\nSettings, as environment variables:\n"]
    for name, default, meaning in described(settings):
        sentence = re.split(r"(?<=\.) ", re.sub(r"\[([^]]+)\]\([^)]+\)", r"\1", meaning), maxsplit=1)[0]
        wrapped = textwrap.fill(sentence, 96, initial_indent="      ", subsequent_indent="      ")
        shown = default if default == "needed" else f"default: {default}"
        lines.append(f"  {prefix}{name} ({shown})\n{wrapped}")
    return "\n".join(lines) + "\n"
