"""The errors that the comment of an RPC lists, by their status of HTTP."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

import grpc

from services.reasons import REASONS
from services.studio.statuses import STATUSES
from tools.openapi.operation import Answer
from tools.openapi.proto_files import ProtoFiles

PROBLEM = {"application/problem+json": {"$ref": "#/components/schemas/Problem"}}
LATER = {"Retry-After": "Seconds until a repeat may succeed."}
BULLET = re.compile(r"\* ([A-Z_]{4,}(?:, [A-Z_]{4,})*)(?: \(([^)]*)\))?: (.*)")
WORDS = re.compile(r"[A-Z][A-Z0-9_]+(?:, [A-Z][A-Z0-9_]+)*")
OF_EVERY_RPC = "i2v.v1.JobService"
"""The service whose comment has the errors of every RPC."""


@dataclass(frozen=True, slots=True)
class Error:
    """A line of a list of errors."""

    status: int
    reasons: tuple[str, ...]
    text: str

    @property
    def line(self) -> str:
        """It as an item of a list in Markdown."""
        words = ", ".join(f"`{each}`" for each in self.reasons)
        return f"* {words}: {self.text}" if words else f"* {self.text}"


def without_errors(comment: str) -> str:
    """Returns the comment of an RPC or a service up to its list of errors."""
    kept = []
    for line in comment.splitlines():
        if line.startswith("Errors"):
            break
        kept.append(line)
    return "\n".join(kept).strip()


def listed(comment: str) -> list[Error]:
    """Returns the errors that a comment lists."""
    found: list[Error] = []
    _, _, tail = f"\n{comment}".partition("\nErrors")
    items = re.split(r"\n(?=\* )", tail)
    for item in items[1:]:
        text = " ".join(item.partition("\n\n")[0].split())
        if (bullet := BULLET.fullmatch(text)) is None:
            continue
        codes, words, rest = bullet.groups()
        reasons = tuple(words.split(", ")) if words and WORDS.fullmatch(words) else ()
        if words and not reasons:
            rest = f"({words}) {rest}"
        for code in codes.split(", "):
            status = STATUSES.get(grpc.StatusCode[code], 500)
            of_code = tuple(each for each in reasons if each in REASONS)
            found.append(Error(status, of_code, f"{rest[:1].upper()}{rest[1:]}"))
    return found


def answers(
    protos: ProtoFiles, method: str, text: Callable[[str], str], more: Iterable[Error] = ()
) -> dict[int, Answer]:
    """Returns the answers to refused calls of a method: its own, those of every RPC, and `more`.

    `text` turns the words of comments into those of HTTP.
    """
    services = dict.fromkeys((method.rpartition(".")[0], OF_EVERY_RPC))
    errors = listed(protos.methods[method].comment)
    errors += [each for service in services for each in listed(protos.services[service])]
    errors += more
    by_status: dict[int, list[Error]] = {}
    for each in errors:
        by_status.setdefault(each.status, []).append(replace(each, text=text(each.text)))
    return {status: problem(status, found) for status, found in sorted(by_status.items())}


def problem(status: int, errors: Iterable[Error]) -> Answer:
    """Returns the answer with problem details."""
    lines = dict.fromkeys(each.line for each in errors)
    return Answer(
        description="\n".join(lines),
        contents=PROBLEM,
        headers=_headers(status),
    )


def _headers(status: int) -> Mapping[str, str]:
    if status == 401:
        return {"WWW-Authenticate": "`Bearer`."}
    if status == 429:
        return LATER | {"RateLimit": "What is left of each limit.", "RateLimit-Policy": "Each limit."}
    return LATER if status == 503 else {}
