"""Reads the answers of WaveSpeed: acceptances, refusals, ends without a video, and facts about a task."""

import re
from datetime import UTC, datetime

from services.providers import task_failures
from services.providers.vendor import Charge, Facts, Failed, promises
from services.providers.vendor_client import Answer
from services.providers.vendors.wavespeed_model_limits import MODELS

MODERATION = ("moderation", "nsfw", "sensitive", "content policy", "content_policy", "safety", "inappropriate")
CREDIT = ("credit", "balance", "top up", "top-up", "topup")

ENDS = ("failed", "cancelled", "canceled", "timeout", "deleted")
"""The statuses that end a task without a video."""
NAME = re.compile(r"[\w./:-]{1,200}", re.ASCII)
"""The form of a model's name."""


def accepted(answer: Answer) -> str:
    """Returns the id of the accepted task. Raises Failed for each other way in which a submission can end."""
    code, well = answer.get("code", kind=int), 200 <= answer.status < 300
    ref = task_failures.accepted(answer.get("data", "id", kind=str))
    if well and ref is not None:
        return ref
    if task_failures.is_refusal(answer.status):
        raise refused(answer, answer.status)
    if well and code is not None and task_failures.is_refusal(code) and answer.get("data", "id", kind=str) is None:
        raise refused(answer, code)  # The envelope has the refusal.
    raise task_failures.broke_down(answer.status) if answer.status >= 500 else task_failures.no_answer(answer.status)


def is_for_another(answer: Answer, ref: str, model: str) -> bool:
    """Returns whether an answer names another task, or another model than that of the task."""
    id_, name = named(answer)
    return id_ not in (None, ref) or name not in (None, "", MODELS[model].path)


def named(answer: Answer) -> tuple[str | None, str | None]:
    """Returns the id and the model of the task that an answer names."""
    return answer.get("data", "id", kind=str), answer.get("data", "model", kind=str)


def refused(answer: Answer, status: int) -> Failed:
    """Returns the error for a refused submission."""
    words = answer.get("message", kind=str) or answer.get("data", "error", kind=str) or ""
    return task_failures.refused(
        status,
        words,
        answer.retry_delay_s,
        credit=status != 429 and any(word in words.lower() for word in CREDIT),
        moderation=_is_moderation(words),
    )


def _is_moderation(words: str) -> bool:
    return any(word in words.lower() for word in MODERATION)


def ended(status: str, words: str) -> Failed:
    """Returns the error for a status that ends a task without a video."""
    match status:
        case "failed":
            # Failed requests are refunded automatically within three hours, according to the documentation.
            if _is_moderation(words):
                return task_failures.moderated(words, Charge.NOT_CHARGED)
            return task_failures.failed(words, Charge.NOT_CHARGED)
        case "timeout":
            return task_failures.failed("it ran out of time", Charge.UNKNOWN)
        case "deleted":
            return task_failures.gone()
        case _:
            return task_failures.cancelled()


def facts(answer: Answer, created: datetime | None) -> Facts:
    """Returns the facts about a finished task."""
    milliseconds = answer.get("data", "timings", "inference", kind=int)
    name = answer.get("data", "model", kind=str)
    metadata = answer.get("data", "metadata", kind=dict) or {}
    return Facts(
        model=name if name is not None and NAME.fullmatch(name) else "",
        create_time=created,
        inference_s=milliseconds / 1000 if milliseconds is not None and 0 <= milliseconds < 10**9 else None,
        nsfw=answer.get("data", "has_nsfw_contents", 0, kind=bool),
        promised=promises(metadata),
    )


def time_of(text: str | None) -> datetime | None:
    """Returns an ISO time, in microseconds; None if it is none."""
    try:
        found = datetime.fromisoformat(text or "")
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError):  # the first and the last hours of datetime's range have no UTC
        return None
