"""How many files and connections a process may have open."""

import resource

MOST = 65_536
"""Enough for tens of thousands of connections; some programs walk through all numbers up to the limit."""


def raise_open_file_limit() -> None:
    """Raises this process's limit on open files as far as allowed. Most systems start at 1024 and allow far more.

    A process that has reached its limit accepts no more connections from any caller.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST if hard == resource.RLIM_INFINITY else min(hard, MOST)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
