"""The audit log: what operators and tenants' admins do by RPC."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from services.errors import InvalidInput, Violation
from services.reasons import AccessReason

DONE = "DONE"
"""The outcome of what succeeded; otherwise it is the reason of the refusal."""
REASON_CHARACTERS = 500


@dataclass(frozen=True, slots=True)
class Act:
    """What somebody wants to do."""

    time: datetime
    actor: str
    """`operators/{id}`, or `tenants/{tenant}/keys/{id}`."""
    action: str
    """Name of the method, such as `SuspendTenant`."""
    target: str
    """What it is done to, such as `tenants/studio`."""
    tenant: str = ""
    """The tenant that it concerns; empty: none."""
    reason: str = ""
    """As the actor says."""
    call: str = ""
    """Id of the call, as in the log lines of the process."""


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """An entry of the log."""

    id: int
    act: Act
    outcome: str
    """DONE, or the reason of the refusal. Empty: it began, and its end was not recorded."""
    before: Mapping[str, str] = field(default_factory=dict)
    """Values that it changed, as they were."""
    after: Mapping[str, str] = field(default_factory=dict)


def demand_reason(reason: str) -> None:
    """Raises InvalidInput if an actor gives no reason, or one that is too long."""
    if not reason.strip() or len(reason) > REASON_CHARACTERS:
        what = f"has {len(reason)} characters; say why, in 1 to {REASON_CHARACTERS} characters"
        raise InvalidInput([Violation("reason", what, AccessReason.REASON_MISSING)])


def difference(before: Mapping[str, object], after: Mapping[str, object]) -> tuple[dict[str, str], dict[str, str]]:
    """Returns the values that differ, as they were and as they are, as texts."""
    changed = [name for name in after if before.get(name) != after[name]]
    return {name: _text(before.get(name)) for name in changed if name in before}, {
        name: _text(after[name]) for name in changed
    }


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, frozenset | list | tuple):
        return " ".join(sorted(map(str, value)))
    return str(value)
