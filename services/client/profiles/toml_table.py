"""One table of a TOML text, written new; comments and the order of everything else stay."""

import json
import re
from collections.abc import Mapping

HEADER = re.compile(r"[ \t]*\[")


def replaced(text: str, path: tuple[str, ...], values: Mapping[str, str | bool]) -> str:
    """Returns the text with other values in the table at a path of bare keys.

    Only knows tables with a header of their own; the caller parses the result and compares.
    """
    header = re.compile(r"[ \t]*\[[ \t]*" + r"[ \t]*\.[ \t]*".join(map(re.escape, path)) + r"[ \t]*\][ \t]*(#.*)?")
    table = [f"[{'.'.join(path)}]", *(f"{key} = {_value(value)}" for key, value in values.items())]
    lines = text.splitlines()
    start = next((number for number, line in enumerate(lines) if header.fullmatch(line)), None)
    if start is None:
        return "\n".join([*lines, *([""] if lines else []), *table, ""])
    end = next((number for number in range(start + 1, len(lines)) if HEADER.match(lines[number])), len(lines))
    kept = [line for line in lines[start + 1 : end] if not line.strip() or line.lstrip().startswith("#")]
    return "\n".join([*lines[:start], *table, *kept, *lines[end:], ""])


def _value(value: str | bool) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")  # TOML's basic strings are JSON's
