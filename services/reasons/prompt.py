"""Reasons of prompts that a language model writes: of the prompt writer's calls, and of jobs that need one."""

from services.reasons.reason import Advice, Code, Reason


class PromptReason(Reason):
    """Why a prompt is not written."""

    LLM_QUOTA = (
        "LLM_QUOTA",
        "HTTP 402, or an error that says that the quota or the balance is used up; never repeated. Top the account up.",
        (Code.RESOURCE_EXHAUSTED, Code.JOB_RETRYABLE),
        Advice.OPERATORS,
    )
    LLM_KEY = (
        "LLM_KEY",
        "HTTP 401, 403, or an error that says that the key is not valid; never repeated. Give the process another key.",
        (Code.FAILED_PRECONDITION, Code.JOB_RETRYABLE),
        Advice.OPERATORS,
    )
    LLM_DOWN = (
        "LLM_DOWN",
        "No connection, no answer in time, HTTP 408, 409, 425, 429 or 5xx, after the last repeat; an address that "
        "serves no such model, or redirects. Repeat after `RetryInfo`. A job is in `Retrying` until then, and ends "
        "after six times, because each may cost.",
        (Code.UNAVAILABLE, Code.JOB_RETRYABLE),
        Advice.RETRY,
    )
    KIND_UNKNOWN = "KIND_UNKNOWN", "ANIMATION or TALKING."
    TOO_MANY_DETAILS = "TOO_MANY_DETAILS", "Leave some details out; the message has the limit."
    DETAIL_UNNAMED = "DETAIL_UNNAMED", "Give every detail a name."
    MAX_CHARACTERS_OUT_OF_RANGE = "MAX_CHARACTERS_OUT_OF_RANGE", "As the message says."
    PROMPT_CURRENCY = (
        "PROMPT_CURRENCY",
        "The prompt writer counts in another currency (`I2V_PROMPT_CURRENCY`); operators have to act.",
        Code.JOB_RETRYABLE,
        Advice.OPERATORS,
    )
    PROMPT_WRITER_UNREACHABLE = (
        "PROMPT_WRITER_UNREACHABLE",
        "The prompt writer does not answer. In `Retrying`.",
        Code.JOB_RETRYABLE,
        Advice.RETRY,
    )
    PROMPT_WRITER_REFUSED = (
        "PROMPT_WRITER_REFUSED",
        "The prompt writer does not accept the scene; the message quotes it.",
        Code.JOB,
    )
