"""The listen addresses of our processes, as in the settings."""

import re

LOOPBACK = ("127.0.0.1", "localhost", "::1")
ADDRESS = re.compile(r"(?:([^\s:/\[\]]+)|\[([0-9A-Fa-f:.]+)\]):([0-9]{1,5})")


def is_own(address: str) -> bool:
    """Whether `host:port` is reached from this machine alone."""
    found = ADDRESS.fullmatch(address)
    return found is not None and (found[1] or found[2]) in LOOPBACK
