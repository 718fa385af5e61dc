"""Reasons of remote models: of a vendor's tasks, and of calls to the process that speaks with the vendor."""

from services.reasons.reason import Advice, Code, Reason


class VendorReason(Reason):
    """Why a vendor's task brings no video. The job that the task is for gives the same reason."""

    VENDOR_REFUSED = "VENDOR_REFUSED", "The vendor does not accept such a task; the message quotes it.", Code.JOB
    MODERATION = "MODERATION", "The vendor's moderation refuses the prompt or the inputs.", Code.JOB
    BAD_KEY = (
        "BAD_KEY",
        "The vendor refused the key, or there is none. Operators give the provider another. Mostly in `Retrying`: jobs "
        "wait until their deadline, at no charge. If the vendor already has the task, the job continues when the "
        "provider has a valid key.",
        Code.JOB_RETRYABLE,
        Advice.OPERATORS,
    )
    NO_CREDIT = (
        "NO_CREDIT",
        "The vendor's account is empty. Operators top it up. Mostly in `Retrying`, like `BAD_KEY`.",
        Code.JOB_RETRYABLE,
        Advice.OPERATORS,
    )
    RATE_LIMITED = (
        "RATE_LIMITED",
        "The account's limit of tasks in a minute, or at the same time.",
        Code.JOB_RETRYABLE,
        Advice.RETRY,
    )
    VENDOR_DOWN = (
        "VENDOR_DOWN",
        "The vendor cannot be reached, or does not answer; not charged. Or it answered a submission with a server "
        "error; then it is unknown whether it charged the task, and it is not retryable.",
        (Code.JOB_RETRYABLE, Code.JOB),
        Advice.RETRY,
    )
    CIRCUIT_OPEN = (
        "CIRCUIT_OPEN",
        "The vendor failed too often recently. In `Retrying`; the end only when the next wait would pass the deadline.",
        Code.JOB_RETRYABLE,
        Advice.RETRY,
    )
    ANSWER_LOST = (
        "ANSWER_LOST",
        "The vendor's answer to a submission was lost. In `Reconciling` while it is unknown. As the end, "
        "retryable and free: the vendor has no such task, or does not find it after the refund window that it "
        "promises.",
        (Code.EVENT, Code.JOB, Code.JOB_RETRYABLE),
        Advice.RETRY,
    )
    SETTLED_BY_OPERATOR = (
        "SETTLED_BY_OPERATOR",
        "The vendor's answer to a submission was lost, and a person has settled what it was.",
        (Code.EVENT, Code.JOB_RETRYABLE),
        Advice.RETRY,
    )
    TASK_FAILED = (
        "TASK_FAILED",
        "The vendor failed. Not retryable where it may have charged the task.",
        (Code.JOB_RETRYABLE, Code.JOB),
        Advice.RETRY,
    )
    TASK_CANCELLED = "TASK_CANCELLED", "Somebody stopped the task at the vendor.", Code.JOB, Advice.OPERATORS
    CANCELLED = (
        "CANCELLED",
        "In `Released`: the vendor stopped the task because the job was cancelled.",
        Code.EVENT,
        Advice.NONE,
    )
    TASK_GONE = (
        "TASK_GONE",
        "The vendor does not know the task any more. Resumable, unless it says that it has deleted it. Retryable of a "
        "job that resumes another: the vendor has given back meanwhile what the task cost.",
        (Code.JOB, Code.JOB_RETRYABLE),
        Advice.RESUME,
    )
    TIMED_OUT = (
        "TIMED_OUT",
        "Not done within the time that the provider watches a task. Resumable.",
        Code.JOB,
        Advice.RESUME,
    )
    OUTPUT_UNAVAILABLE = (
        "OUTPUT_UNAVAILABLE",
        "The video exists, and did not arrive, or not completely. In `Retrying`: the download is retried until the "
        "job's deadline. As the end, not retryable but resumable: the deadline has passed, or the host refuses the "
        "video permanently; the job is charged.",
        (Code.JOB_RETRYABLE, Code.JOB),
        Advice.RESUME,
    )
    OUTPUT_WRONG = (
        "OUTPUT_WRONG",
        "Of a remote model, not retryable: the file is no MP4, QuickTime, WebM or Matroska, or too large; the message "
        "says what it is. Of the local engine, retryable: another size or number of frames than requested.",
        (Code.JOB, Code.JOB_RETRYABLE),
        Advice.RETRY,
    )
    NOTHING_SUBMITTED = (
        "NOTHING_SUBMITTED",
        "The provider did not accept the task, and submitted nothing. INVALID_ARGUMENT: the request is malformed, or "
        "not for this model. UNAVAILABLE: the provider is shutting down, or cannot store the inputs, because its "
        "disk is full, or it lacks file descriptors, threads or memory.",
        (Code.INVALID_ARGUMENT, Code.UNAVAILABLE, Code.JOB_RETRYABLE, Code.JOB),
        Advice.RETRY,
    )
    SUBMITTED_BEFORE = (
        "SUBMITTED_BEFORE",
        "Generate was called before under this `submission_id`; the first call may have been paid for.",
        Code.FAILED_PRECONDITION,
    )
    VENDOR_UNREACHABLE = (
        "VENDOR_UNREACHABLE",
        "Cancel or Find could not ask the vendor.",
        Code.UNAVAILABLE,
        Advice.RETRY,
    )
    PROVIDER_UNREACHABLE = (
        "PROVIDER_UNREACHABLE",
        "The provider does not answer. In `Retrying`; the end only when the next wait would pass the deadline.",
        Code.JOB_RETRYABLE,
        Advice.RETRY,
    )
    PROVIDER_MISMATCH = (
        "PROVIDER_MISMATCH",
        "What answers at the provider's address in `I2V_PROVIDERS` speaks with another vendor, or does not "
        "know the card's model. Mostly in `Retrying`. The catalog shows it as UNREACHABLE.",
        Code.JOB_RETRYABLE,
        Advice.OPERATORS,
    )
