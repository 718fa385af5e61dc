"""The registry of reasons against the code that raises them and the protos that name them."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from google.rpc import code_pb2

from services import errors
from services.reasons import DOMAINS, REASONS, Code, Reason, RequestReason, SpecReason, reason_of
from services.rpc.concurrent_call_limits import Group
from services.rpc.status_codes import CODES

ROOT = Path(__file__).resolve().parents[2]
WORD = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)+")
KINDS: dict[str, type[errors.ServiceError]] = {
    name: kind
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, errors.ServiceError)
}
MAKERS = {*KINDS, "Violation", "JobError", "Refused", "Warned", "Released", "Failed", "Failure"}
MAKERS |= {"refuse", "_refuse", "invalid", "_failing", "_status", "release", "demand_whole", "_look", "_full"}
"""Calls that take a reason, by position or by name."""
OF_A_JOB = {Code.JOB, Code.JOB_RETRYABLE, Code.EVENT, Code.LOG}


@cache
def sources() -> dict[str, ast.Module]:
    files = [file.relative_to(ROOT) for file in sorted((ROOT / "services").rglob("*.py"))]
    read = [file for file in files if not {"reasons", "migrations"} & set(file.parts)]
    return {str(file): ast.parse((ROOT / file).read_text()) for file in read}


def is_something_else(file: str, word: str) -> bool:
    """Whether a literal that equals a reason is none: a setting's name, or the state of a vendor's task."""
    return (word == "LLM_KEY" and "settings" in file) or (word == "CANCELLED" and "/vendors/" in file)


def name_of(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def calls() -> Iterator[tuple[str, ast.Call]]:
    for file, tree in sources().items():
        yield from ((file, node) for node in ast.walk(tree) if isinstance(node, ast.Call))


def reason_at(node: ast.AST | None) -> Reason | None:
    """The member that an expression such as `CallReason.KEYS_BUSY` names."""
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return next((REASONS.get(node.attr) for domain in DOMAINS if domain.__name__ == node.value.id), None)
    return None


def bare_words(file: str, tree: ast.AST) -> Iterator[str]:
    """Reasons that are written as text: a word of the registry anywhere, any word where a call takes a reason."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and node.value in REASONS and not is_something_else(file, node.value):
            yield f"{file}:{node.lineno}: {node.value}"
        if not isinstance(node, ast.Call):
            continue
        given = [*(node.args if name_of(node) in MAKERS else ())]
        given += [each.value for each in node.keywords if each.arg == "reason"]
        for value in given:
            parts = value.values if isinstance(value, ast.JoinedStr) else [value]
            whole = "".join(str(part.value) if isinstance(part, ast.Constant) else "X" for part in parts)
            if WORD.fullmatch(whole) and whole not in REASONS and not is_something_else(file, whole):
                yield f"{file}:{node.lineno}: {whole}"


def test_a_word_has_the_name_of_its_member_and_belongs_to_one_domain() -> None:
    assert len(REASONS) == sum(len(domain) for domain in DOMAINS)
    for word, reason in REASONS.items():
        assert word == reason == reason.name
        assert reason.meaning.endswith("."), word
        assert len(set(reason.codes)) == len(reason.codes) > 0, word


def test_a_code_is_a_status_of_our_failures_or_of_a_job_or_a_delivery() -> None:
    statuses = {code_pb2.Code.Name(code) for code in CODES.values()}
    others = {Code.INTERNAL, Code.DATA_LOSS, Code.DELIVERY}
    assert set(Code) == {Code(name) for name in statuses} | OF_A_JOB | others


def test_a_reason_of_another_version_is_passed_on_unchanged() -> None:
    assert reason_of("PICTURE_FORMAT") is REASONS["PICTURE_FORMAT"]
    unknown = reason_of("OF_TOMORROW")
    assert (unknown, str(unknown), f"{unknown}", unknown.codes) == ("OF_TOMORROW", "OF_TOMORROW", "OF_TOMORROW", ())
    assert {unknown: 1}["OF_TOMORROW"] == 1
    assert "OF_TOMORROW" not in REASONS


def test_no_reason_is_written_as_text() -> None:
    assert [each for file, tree in sources().items() for each in bare_words(file, tree)] == []


@pytest.mark.parametrize(
    "source",
    [
        'raise Unavailable("Later.", reason="MADE_UP")',
        'raise Refused("MADE_UP", "is odd")',
        'JobError(f"{subject}_EXCEEDED", "much", retryable=True)',
        'if trouble.reason == "ENGINE_BUSY": pass',
        'error = {"reason": "PICTURE_FORMAT"}',
    ],
)
def test_text_in_the_place_of_a_reason_is_noticed(source: str) -> None:
    assert len(list(bare_words("a.py", ast.parse(source)))) == 1


def test_every_reason_is_used() -> None:
    used = {reason_at(node) for tree in sources().values() for node in ast.walk(tree)}
    groups = [
        Group(call.args[0].value, (), 1, 1)
        for _, call in calls()
        if name_of(call) == "Group" and isinstance(call.args[0], ast.Constant)
    ]
    used |= {reason for group in groups for reason in (group.reason, group.tenant_reason)}
    assert set(REASONS.values()) - used == set()


def test_a_failure_is_raised_with_a_status_of_its_reason() -> None:
    seen = 0
    for file, call in calls():
        kind = KINDS.get(name_of(call))
        reason = next((reason_at(each.value) for each in call.keywords if each.arg == "reason"), None)
        if kind is None or reason is None or "client" in file:
            continue
        seen += 1
        number = next(CODES[each] for each in kind.__mro__ if each in CODES)
        status = Code(code_pb2.Code.Name(number))
        # What is temporary and comes up in an attempt becomes the reason of the job.
        of_an_attempt = kind is errors.Unavailable and OF_A_JOB & set(reason.codes)
        assert status in reason.codes or of_an_attempt, (file, call.lineno, reason)
    assert seen > 50


def test_a_violation_has_a_reason_of_invalid_arguments() -> None:
    found = [
        (file, call.lineno, reason)
        for file, call in calls()
        if name_of(call) in ("Violation", "Refused", "refuse", "_refuse", "invalid")
        for reason in map(reason_at, call.args)
        if reason is not None
    ]
    assert len(found) > 90
    assert [each for each in found if Code.INVALID_ARGUMENT not in each[2].codes] == []


def test_a_failed_job_or_task_is_as_retryable_as_its_reason_says() -> None:
    seen = 0
    for file, call in calls():
        given = {each.arg: each.value for each in call.keywords}
        if name_of(call) == "JobError" and call.args:
            reason, retryable = reason_at(call.args[0]), given.get("retryable", call.args[-1])
        elif name_of(call) == "Failed" and "reason" in given:
            reason, retryable = reason_at(given["reason"]), given.get("retryable", ast.Constant(False))
        else:
            continue
        if reason is None:
            continue
        seen += 1
        codes = {Code.JOB, Code.JOB_RETRYABLE}
        if isinstance(retryable, ast.Constant):
            codes = {Code.JOB_RETRYABLE if retryable.value else Code.JOB}
        assert codes <= set(reason.codes), (file, call.lineno, reason)
    assert seen > 25


def test_the_reasons_of_some_failures_are_those_of_their_kind() -> None:
    assert errors.NotFound("job", "jobs/7").reason is RequestReason.NOT_FOUND
    assert errors.RequestIdReused().reason is RequestReason.REQUEST_ID_REUSED
    assert errors.InvalidSpec([errors.Violation("a", "is odd")]).reason is RequestReason.INVALID_INPUT
    assert errors.Violation("a", "is odd").reason is RequestReason.INVALID_VALUE
    assert errors.Violation("a", "is odd", SpecReason.FIT_UNKNOWN).reason == "FIT_UNKNOWN"


# --- protos ---------------------------------------------------------------------------------------------------------


def proto_lines() -> tuple[list[str], str]:
    """The comments of all protos, and what is no comment."""
    files = sorted((ROOT / "proto").rglob("*.proto"))
    lines = [line.strip() for file in files for line in file.read_text().splitlines()]
    comments = [line for line in lines if line.startswith("//") and "buf:lint:ignore" not in line]
    return comments, "\n".join(line for line in lines if not line.startswith("//"))


def test_protos_name_no_reason_that_does_not_exist() -> None:
    comments, definitions = proto_lines()
    named = {found[0] for comment in comments for found in re.finditer(rf"\b{WORD.pattern}\b", comment)}
    defined = {found[0] for found in re.finditer(rf"\b{WORD.pattern}\b", definitions)}
    assert len(named & set(REASONS)) > 25
    assert named - set(REASONS) - defined - set(Code) - {"UPPER_SNAKE"} == set()


def test_protos_name_a_reason_with_a_status_that_it_has() -> None:
    text = " ".join(comment.removeprefix("//").strip() for comment in proto_lines()[0])
    pairs = [(code, reason) for code, reason in re.findall(r"\b([A-Z_]+) \(`?([A-Z_]+)`?\)", text) if reason in REASONS]
    assert len(pairs) > 5
    for code, reason in pairs:
        assert Code(code) in REASONS[reason].codes, (code, reason)
