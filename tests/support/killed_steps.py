"""Processes that are killed at one of their steps."""

from dataclasses import dataclass
from typing import Any


class Killed(BaseException):
    """The process is killed, as by kill -9: nothing handles this."""


@dataclass
class Steps:
    """Counts the steps of a process, and kills it before or after one."""

    kill_at: int
    after: bool

    async def take(self, step: Any) -> Any:
        self.kill_at -= 1
        last = self.kill_at == 0  # other steps may begin before this one ends
        if last and not self.after:
            step.close()
            raise Killed
        result = await step
        if last:
            raise Killed
        return result
