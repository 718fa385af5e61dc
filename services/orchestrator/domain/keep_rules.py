"""How long a plan keeps the assets of its tenants."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from services.orchestrator.domain.library_entry import Kind


@dataclass(frozen=True, slots=True)
class KeepRules:
    """What is absent is kept without a limit of time."""

    days: Mapping[Kind, int] = field(default_factory=dict)
    """Days after its beginning that an entry of a kind goes to the trash."""
    trash_days: int | None = None
    """Days in the trash after which it is deleted for good; None: as the setting says."""


KEEP_ALL = KeepRules()
