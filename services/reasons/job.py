"""Reasons of jobs that were admitted: why one fails or waits, and what is unusual about its video."""

from services.reasons.reason import Advice, Code, Reason


class JobReason(Reason):
    """Why a job ends without a video, waits for another attempt, or has a video that is not quite as requested."""

    DEADLINE_EXCEEDED = (
        "DEADLINE_EXCEEDED",
        "Not started, or not finished, by `expire_time`.",
        Code.JOB_RETRYABLE,
        Advice.RETRY,
    )
    MODEL_GONE = (
        "MODEL_GONE",
        "The model left the catalog while the job waited. Use another. In `Retrying`: the worker does not have its "
        "card yet.",
        (Code.JOB, Code.JOB_RETRYABLE),
    )
    START_TIMEOUT = (
        "START_TIMEOUT",
        "Not started within the spec's `start_timeout`. It costs nothing.",
        Code.JOB_RETRYABLE,
        Advice.RETRY,
    )
    BACKEND_UNKNOWN = (
        "BACKEND_UNKNOWN",
        "The worker does not have the card's backend; see [Workers](operations.md#workers).",
        Code.JOB_RETRYABLE,
        Advice.OPERATORS,
    )
    ENGINE_FAILED = (
        "ENGINE_FAILED",
        "A model answered with an error; the message quotes it.",
        Code.JOB_RETRYABLE,
        Advice.RETRY,
    )
    ENGINE_OUT_OF_MEMORY = (
        "ENGINE_OUT_OF_MEMORY",
        "The GPU, or the machine, had no memory for it; the other jobs go on. A smaller size or a shorter video needs "
        "less; operators give the Triton fewer slots or a larger GPU.",
        Code.JOB_RETRYABLE,
        Advice.RETRY,
    )
    ENGINE_REFUSED = (
        "ENGINE_REFUSED",
        "A model says that it can never serve such a request; the message quotes it.",
        Code.JOB,
    )
    ENGINE_BUSY = (
        "ENGINE_BUSY",
        "Triton has no room, or still loads. Mostly in `Retrying`; the end only when the next wait would pass the "
        "deadline.",
        Code.JOB_RETRYABLE,
        Advice.RETRY,
    )
    ENGINE_UNREACHABLE = (
        "ENGINE_UNREACHABLE",
        "Triton does not answer, or one of its models has died. Mostly in `Retrying`, like `ENGINE_BUSY`.",
        Code.JOB_RETRYABLE,
        Advice.RETRY,
    )
    ENGINE_LOADING = (
        "ENGINE_LOADING",
        "A model is not ready yet. The worker looks every few seconds.",
        Code.LOG,
        Advice.RETRY,
    )
    NO_ANSWER = "NO_ANSWER", "A backend said nothing for 10 seconds when the worker looked.", Code.LOG, Advice.RETRY
    PROFILE_MISMATCH = (
        "PROFILE_MISMATCH",
        "What Triton serves is not what the card promises; see [Triton](operations.md#triton).",
        Code.JOB,
        Advice.OPERATORS,
    )
    OUTPUT_SIZE = (
        "OUTPUT_SIZE",
        "A remote model's video has another resolution than requested or promised. It is kept.",
        Code.EVENT,
        Advice.NONE,
    )
    OUTPUT_LENGTH = (
        "OUTPUT_LENGTH",
        "The video plays longer or shorter than requested. It is kept.",
        Code.EVENT,
        Advice.NONE,
    )
    OUTPUT_UNSIGNED = (
        "OUTPUT_UNSIGNED",
        "The video's file has no place for a signed manifest. It is kept; its manifest is in the library.",
        Code.EVENT,
        Advice.NONE,
    )
    OUTPUT_UNMARKED = (
        "OUTPUT_UNMARKED",
        "The mark could not be added to the frames of a remote model's video; see "
        "[the mark](provenance.md#videos-of-vendors). It is kept.",
        Code.EVENT,
        Advice.NONE,
    )
    OUTPUT_SILENT = (
        "OUTPUT_SILENT",
        "The video has no sound, though the spec has one. It is kept.",
        Code.EVENT,
        Advice.NONE,
    )
    OUTPUT_SOUND_LENGTH = (
        "OUTPUT_SOUND_LENGTH",
        "The video's sound plays longer or shorter than requested. It is kept.",
        Code.EVENT,
        Advice.NONE,
    )
