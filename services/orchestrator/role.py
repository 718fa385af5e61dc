"""What a process of the orchestrator does, apart from sending webhooks. Imports nothing, so that each starts fast."""

from enum import StrEnum


class Role(StrEnum):
    """What this process does."""

    API = "api"
    WORKER = "worker"
    ALL = "all"
