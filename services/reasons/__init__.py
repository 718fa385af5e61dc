"""The registry of reasons: every word by which an error, a failed job, a warning or a violation names its cause.

To add one: a member in the class of its domain, with its meaning, where it appears and what to do. The tables of the
docs are written from here by `python -m tools.reason_tables`. Words never change: callers' programs compare them.
"""

from collections.abc import Mapping

from services.reasons.access import AccessReason
from services.reasons.asset import AssetReason
from services.reasons.call import CallReason
from services.reasons.delivery import DeliveryReason
from services.reasons.http import HttpReason
from services.reasons.job import JobReason
from services.reasons.library import LibraryReason
from services.reasons.prompt import PromptReason
from services.reasons.reason import Advice, Code, Reason
from services.reasons.request import RequestReason
from services.reasons.retention import RetentionReason
from services.reasons.service import ServiceReason
from services.reasons.socket import SocketReason
from services.reasons.spec import SpecReason
from services.reasons.vendor import VendorReason
from services.reasons.webhook import WebhookReason

__all__ = [
    "DOMAINS",
    "REASONS",
    "AccessReason",
    "Advice",
    "AssetReason",
    "CallReason",
    "Code",
    "DeliveryReason",
    "HttpReason",
    "JobReason",
    "LibraryReason",
    "PromptReason",
    "Reason",
    "RequestReason",
    "RetentionReason",
    "ServiceReason",
    "SocketReason",
    "SpecReason",
    "VendorReason",
    "WebhookReason",
    "reason_of",
]

DOMAINS: tuple[type[Reason], ...] = (
    CallReason,
    HttpReason,
    SocketReason,
    AccessReason,
    RequestReason,
    RetentionReason,
    SpecReason,
    AssetReason,
    LibraryReason,
    WebhookReason,
    ServiceReason,
    JobReason,
    VendorReason,
    PromptReason,
    DeliveryReason,
)
REASONS: Mapping[str, Reason] = {reason.value: reason for domain in DOMAINS for reason in domain}
"""Every reason by its word."""


def reason_of(word: str) -> Reason:
    """Returns the reason of a word that another process said; of another version's word one that has the word alone."""
    return REASONS.get(word) or Reason.unregistered(word)
