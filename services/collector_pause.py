"""Lets Python's garbage collector rest while a program starts, and keeps it off what the start has made.

Imports make some hundred thousand objects, all of which stay. The collector would go through them again and again while
they are made, for a sixth of the processor time of a start, and later in each full collection, as a pause of all calls.

Importing this module begins the rest, so a program imports it first. A start may wait for a database for hours, so the
collector works even then, but rarely.
"""

import gc

USUAL = gc.get_threshold()
RARELY = 100_000
"""New objects until the next collection."""

gc.set_threshold(RARELY, *USUAL[1:])


def end() -> None:
    """Lets the collector work as usual, on objects that are made from now on."""
    gc.freeze()
    gc.set_threshold(*USUAL)
