"""Handshake: who connects, and what of an earlier connection goes on. Pure."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from services.reasons import CallReason, HttpReason
from services.studio.caller import USER, Caller
from services.studio.refused_request import RefusedRequest

KEY = re.compile(r"[\x21-\x7e]{1,8192}")
TAB = re.compile(r"[A-Za-z0-9._~-]{1,64}")
JOB_ID = re.compile(r"(?:jobs/)?([A-Za-z0-9._~-]{1,128})")
FIELDS = ("key", "user", "tab", "jobs", "follow")
JOBS_MOST = 50
FRAME_MOST = 10**7
OWN, ALL = "own", "all"


@dataclass(frozen=True, slots=True)
class Handshake:
    """What a connection says at its beginning."""

    caller: Caller
    tab: str
    """The caller's name for what it continues after a break; empty: none."""
    jobs: Mapping[str, int]
    """Jobs to continue, `jobs/{id}`, with the number of the next frame."""
    follows_all: bool
    """Whether jobs that other connections of the caller start are followed too."""


def read(auth: object, session: Callable[[], str] = str) -> Handshake:
    """Reads `auth`. Raises RefusedRequest.

    `session` returns the token of the page's session, which is the credential if there is no key; empty: there is none.
    """
    fields = auth if isinstance(auth, dict) else {}
    if unknown := sorted(map(str, set(fields) - set(FIELDS))):
        sentence = f"There is no field {unknown[0][:80]!r} in auth; there are {', '.join(FIELDS)}."
        raise RefusedRequest(sentence, reason=HttpReason.FIELD_UNKNOWN, param=f"auth.{unknown[0][:80]}")
    key, user = fields["key"] if "key" in fields else session(), fields.get("user") or ""
    if not isinstance(key, str) or not KEY.fullmatch(key):
        sentence = "Send your key as auth {key, user}, or sign in to the page."
        raise RefusedRequest(sentence, reason=CallReason.API_KEY_MISSING, param="auth.key", status=401)
    metadata = [("authorization", f"Bearer {key}")]
    if user:
        if not isinstance(user, str) or not USER.fullmatch(user):
            sentence = "The user has 1 to 128 characters of ASCII."
            raise RefusedRequest(sentence, reason=CallReason.USER_MALFORMED, param="auth.user")
        metadata.append(("i2v-user", user))
    tab, follow = fields.get("tab") or "", fields.get("follow") or ALL
    if not isinstance(tab, str) or (tab and not TAB.fullmatch(tab)):
        sentence = "A tab has 1 to 64 letters, digits, '.', '_', '~' and '-'."
        raise RefusedRequest(sentence, reason=HttpReason.FIELD_MALFORMED, param="auth.tab")
    if follow not in (OWN, ALL):
        raise RefusedRequest(f"Give {OWN} or {ALL}.", reason=HttpReason.FIELD_MALFORMED, param="auth.follow")
    return Handshake(Caller(tuple(metadata)), tab, _jobs(fields.get("jobs")), follow == ALL)


def job_of(value: object, field: str = "job_id") -> str:
    """Returns the name of a job, `jobs/{id}`. Raises RefusedRequest."""
    if not isinstance(value, str) or not (found := JOB_ID.fullmatch(value)):
        sentence = "Give the job_id that came with the job's events."
        raise RefusedRequest(sentence, reason=HttpReason.FIELD_MALFORMED, param=field)
    return f"jobs/{found[1]}"


def next_frame(value: object, field: str = "frame_index") -> int:
    """Returns the number of the frame after the last one that a caller has. Raises RefusedRequest."""
    if value is None:
        return 0
    if not isinstance(value, int) or isinstance(value, bool) or not -1 <= value <= FRAME_MOST:
        sentence = "Give the frame_index of the last frame that you have."
        raise RefusedRequest(sentence, reason=HttpReason.FIELD_MALFORMED, param=field)
    return value + 1


def _jobs(value: object) -> Mapping[str, int]:
    if value is None:
        return {}
    if not isinstance(value, list) or len(value) > JOBS_MOST or not all(isinstance(each, dict) for each in value):
        sentence = f"Give a list of up to {JOBS_MOST} jobs, each as {{job_id, frame_index}}."
        raise RefusedRequest(sentence, reason=HttpReason.FIELD_MALFORMED, param="auth.jobs")
    return {
        job_of(each.get("job_id"), "auth.jobs.job_id"): next_frame(each.get("frame_index"), "auth.jobs.frame_index")
        for each in value
    }
