"""Reasons of requests of operators about retention and the ledger."""

from services.reasons.reason import Advice, Code, Reason


class RetentionReason(Reason):
    """Why a method refuses to remove or to fold something."""

    RETENTION_OFF = (
        "RETENTION_OFF",
        "The settings keep this kind without a limit of time. Set its `I2V_KEEP_…_DAYS` first.",
        Code.FAILED_PRECONDITION,
    )
    RETENTION_BUSY = (
        "RETENTION_BUSY",
        "Another process removes old things at this moment. Repeat after `RetryInfo`.",
        Code.UNAVAILABLE,
        Advice.RETRY,
    )
    LEGAL_HOLD = (
        "LEGAL_HOLD",
        "The tenant is under a legal hold, so nothing of it is folded, and no user of it is deleted. "
        "`i2v admin legal-hold clear` ends the hold.",
        Code.FAILED_PRECONDITION,
    )
    USER_IN_DELETION = (
        "USER_IN_DELETION",
        "Everything of this user is being deleted, so nothing new is taken. `i2v admin users deletions` shows how far "
        "it is. Afterwards the user can begin again.",
        Code.FAILED_PRECONDITION,
    )
    MONTH_MALFORMED = "MONTH_MALFORMED", "Give a month such as `2025-01`."
    MONTH_NOT_OVER = "MONTH_NOT_OVER", "Only months that are over can be folded.", Code.FAILED_PRECONDITION
    MONTH_IN_USE = (
        "MONTH_IN_USE",
        "Jobs of the month are still kept, or have open holds. Fold it when retention has removed its jobs.",
        Code.FAILED_PRECONDITION,
    )
    RETENTION_KIND_UNKNOWN = "RETENTION_KIND_UNKNOWN", "Give a kind that `i2v admin retention show` lists."
