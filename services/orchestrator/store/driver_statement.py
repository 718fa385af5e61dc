"""Statements for the driver itself, without SQLAlchemy."""

import re


def driver_statement(text: str) -> str:
    """Returns a statement with `:name` as the driver has it, `%(name)s`, without comments and indentation.

    The driver parses a statement of more than 4,096 characters again at each call. No literal in it may have `--`,
    `%`, or a colon before a word.
    """
    return re.sub(r"\s+", " ", re.sub(r"--.*", "", re.sub(r"(?<!:):(\w+)", r"%(\1)s", text)))
