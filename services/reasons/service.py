"""Reasons that lie with the service itself: its database, its disks, its memory, its end."""

from services.reasons.reason import Advice, Code, Reason

_TEMPORARY = (Code.UNAVAILABLE, Code.JOB_RETRYABLE)


class ServiceReason(Reason):
    """What the service lacks at the moment. A job waits for it in `Retrying`, until its deadline."""

    DATABASE_UNAVAILABLE = "DATABASE_UNAVAILABLE", "Repeat after `RetryInfo`.", _TEMPORARY, Advice.RETRY
    SCHEMA_MISMATCH = (
        "SCHEMA_MISMATCH",
        "A process that starts found the schema of another release; it waits. Operators: see "
        "[The schema](kubernetes.md#the-schema).",
        _TEMPORARY,
        Advice.RETRY,
    )
    BLOBS_UNAVAILABLE = (
        "BLOBS_UNAVAILABLE",
        "The blob store does not answer, or refuses. Repeat.",
        _TEMPORARY,
        Advice.RETRY,
    )
    DISK_FULL = (
        "DISK_FULL",
        "No space, a quota, or a limit of file sizes. Repeat after `RetryInfo`; operators: see "
        "[Shortages](operations.md#shortages).",
        _TEMPORARY,
        Advice.RETRY,
    )
    DISK_UNAVAILABLE = (
        "DISK_UNAVAILABLE",
        "The disk has errors or became read-only. Repeat after `RetryInfo`; operators: see "
        "[Shortages](operations.md#shortages).",
        _TEMPORARY,
        Advice.RETRY,
    )
    RESOURCES_EXHAUSTED = (
        "RESOURCES_EXHAUSTED",
        "Repeat after `RetryInfo`; operators check memory, open files and threads, and their limits.",
        _TEMPORARY,
        Advice.RETRY,
    )
    DECODER_UNAVAILABLE = (
        "DECODER_UNAVAILABLE",
        "The process that decodes files died, did not start or got no processor time. Repeat; operators check memory.",
        _TEMPORARY,
        Advice.RETRY,
    )
    SPOOL_UNAVAILABLE = (
        "SPOOL_UNAVAILABLE",
        "The upload cannot be written to the local disk. Repeat; operators check the permissions of the data folder.",
        Code.UNAVAILABLE,
        Advice.RETRY,
    )
    GOING_DOWN = (
        "GOING_DOWN",
        "Call again immediately; another replica answers. A watch continues from its last sequence number.",
        Code.UNAVAILABLE,
        Advice.RETRY,
    )
    INTERNAL = (
        "INTERNAL",
        "A fault of ours; the log has it. Repeat once; then give the operators the error id of the message.",
        (Code.INTERNAL, Code.JOB_RETRYABLE),
        Advice.RETRY,
    )
