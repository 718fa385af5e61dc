"""What the settings of every process of ours have in common: how a variable is read, and how one is refused."""

import math
from typing import Any

YES, NO = ("1", "true", "yes", "on"), ("0", "false", "no", "off")


class BadSetting(Exception):
    """A setting cannot be used; the message names it, and never holds a secret."""


def parsed(variable: str, value: str, kind: Any) -> Any:
    """Returns a variable's value as a bool, an int, a finite float, or as `kind` has it. Raises BadSetting."""
    try:
        if kind is bool:
            if value.lower() not in YES + NO:
                raise ValueError("it is `true` or `false`")
            return value.lower() in YES
        found = kind(value)
        if kind is float and not math.isfinite(found):
            raise ValueError("it is a number")
        return found
    except ValueError as error:
        raise BadSetting(f"{variable} cannot be {value!r}: {error}") from error
