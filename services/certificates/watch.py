"""Looks at certificates while no connection is made: metrics are then true too."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack

from services.certificates.certificate_files import CertificateFiles

LOOK_S = 10.0
"""Seconds between two looks."""


def watch(stack: AsyncExitStack, files: Sequence[CertificateFiles | None], every_s: float = LOOK_S) -> None:
    """Looks at the files until the stack is left; None is none."""
    present = [each for each in files if each is not None]
    if present:
        stack.callback(asyncio.create_task(_watch(present, every_s), name="certificates").cancel)


async def _watch(files: Sequence[CertificateFiles], every_s: float) -> None:
    while True:
        await asyncio.sleep(every_s)
        for each in files:
            each.current()
