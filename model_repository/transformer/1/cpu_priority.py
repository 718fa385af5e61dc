"""The priority of the transformer's threads on a CPU: below the decoder's.

Both use every core. The decoder has the block that the caller waits for, so it goes first, and the transformer makes
the next block on the cores that the decoder leaves idle. The decoder cannot starve it: it needs its blocks.
"""

import os

NICENESS = 10
"""Added to the niceness of the process."""


def yield_cores() -> None:
    """Lowers the priority of the calling thread, and of the threads that it starts later."""
    os.nice(NICENESS)  # of this thread alone, on Linux
