"""The form of log lines: what no text in them can do, and what is left out of a flood."""

import json
import logging

import pytest

from services.known_secrets import hidden, remember, remember_password
from services.rpc import logs
from services.rpc.log_flood_limit import EVERY_S, KINDS, MOST, FloodLimit
from services.rpc.redaction import redact
from services.tracing import spans
from tests.support.recorded_spans import recording

SECRET = "Zq7-hunter2_Zq7hunter2Zq7"
WORDS = ("hunter2", "correct horse")
"""Parts of all secrets in TEXTS."""
TEXTS = [
    f"authorization: Key {SECRET}",
    f"Authorization: AWS4-HMAC-SHA256 Credential={SECRET}/20261130, SignedHeaders=host, Signature={SECRET}",
    f"headers: {{'authorization': 'Key {SECRET}'}}",
    f"the call with bearer {SECRET} failed",
    f"a JWT eyJhbGciOiJSUzI1NiJ9.{SECRET}.{SECRET} was sent",
    f"GET /media/signed.{SECRET}.{SECRET} HTTP/1.1",
    f"GET /s/share.{SECRET} HTTP/1.1",
    f"i2v_abcd1234_{SECRET} is not known",
    f"whsec_{SECRET}",
    f"-----BEGIN PRIVATE KEY-----\n{SECRET}\n{SECRET}\n-----END PRIVATE KEY-----",
    f"-----BEGIN EC PRIVATE KEY-----\n{SECRET}",
    f"https://bucket.s3/x?X-Amz-Credential={SECRET}&X-Amz-Security-Token={SECRET}&X-Amz-Signature={SECRET}",
    f"postgresql://i2v:{SECRET}@db/i2v",
    f"host=db password={SECRET} user=i2v",
    f"s3_secret_key={SECRET} s3_access_key='{SECRET}'",
    f"AWS_SECRET_ACCESS_KEY={SECRET}",
    'pass_phrase: "correct horse battery staple"',
    "passphrase='correct horse battery'",
    f"set-cookie: {SECRET}",
    f'{{"policy": "x", "x-amz-signature": "{SECRET}"}}',
    f'DETAIL:  Failing row contains (7, acme, "the {SECRET} prompt", null).',
    f"DETAIL:  Key (tenant, user_id)=(acme, {SECRET}) already exists.",
    f'CONTEXT:  JSON data, line 1: {{"prompt": "{SECRET}',
]


def lines_of(record: logging.LogRecord) -> list[str]:
    """What the two formatters make of a record."""
    return [logs.JsonLines().format(record), logs.TextLines().format(record)]


@pytest.mark.parametrize("text", TEXTS)
def test_a_secret_is_in_no_line_wherever_it_comes_from(text: str) -> None:
    try:
        try:
            raise ValueError(text)
        except ValueError as cause:
            raise RuntimeError("it failed") from cause
    except RuntimeError as error:
        exc_info = (type(error), error, error.__traceback__)
    given = {"msg": f"it said {text}", "where": text, "cause": {"said": text}, "named": [text.encode()]}
    for line in lines_of(logging.makeLogRecord({**given, "exc_info": exc_info})):
        assert not [word for word in WORDS if word in line]
        assert "it said" in line and "RuntimeError: it failed" in line


@pytest.mark.parametrize("name", ["authorization", "api_key", "s3_secret_key", "share_token", "pass_phrase", "cookie"])
def test_a_field_with_the_name_of_a_secret_is_not_written(name: str) -> None:
    for line in lines_of(logging.makeLogRecord({"msg": "x", name: SECRET})):
        assert SECRET not in line and "[redacted]" in line


@pytest.mark.parametrize(
    "text",
    [
        "there is no job 7",
        "the key i2v_abcd1234 has expired",
        "max_tokens is 200 and the tokens are few",
        "https://vendor.example/tasks/7 answered 503",
        "I2V_S3_SECRET_KEY_FILE names var/key, which is empty",
        "services/studio/share_pages.py, line 3",
        "I2V_PROVIDER_FAL_TLS_CLIENT_CA_FILE names words, which holds no certificates",
        "i2v_certificate_reload_failures_total has grown",
    ],
)
def test_a_text_without_secrets_stays_as_it_is(text: str) -> None:
    assert redact(text) == text


def test_of_a_secret_that_begins_as_another_one_nothing_stays() -> None:
    remember("a-rotated-secret")
    remember("a-rotated-secret-and-its-rest")
    assert hidden("it was a-rotated-secret-and-its-rest") == "it was [redacted]"


def test_a_secret_of_this_process_is_hidden_whatever_it_looks_like() -> None:
    remember("plain-vendor-word")
    remember_password("postgresql://i2v:p%40ssw%2Frd-of-db@db/i2v")
    for said in ("401: plain-vendor-word is bad", "p%40ssw%2Frd-of-db", "p@ssw/rd-of-db"):
        assert hidden(said).count("[redacted]") == 1
        assert redact(said) == hidden(said)
    remember("short")
    assert redact("a short text") == "a short text"


@pytest.mark.parametrize(
    "text",
    [
        'x\n{"level":"ERROR","message":"forged"}',
        "x\r\n2026-11-30T00:00:00.000Z ERROR   services.rpc: forged",
        "x\x1b[2K\x1b[1A forged",
        "x\x9b2K forged",
        "x\u2028forged\u2029forged\x85forged\x0bforged\x0cforged",
        "x\u202eforged\u2066",
        "x\udcffforged\x00",
    ],
)
def test_no_text_of_a_caller_begins_a_line_or_moves_the_cursor(text: str) -> None:
    try:
        raise ValueError(text)
    except ValueError as error:
        exc_info = (type(error), error, error.__traceback__)
    record = logging.makeLogRecord({"msg": text, "method": text, "code": "a b=c", "exc_info": exc_info})
    as_json, as_text = lines_of(record)
    assert as_json.isprintable() and as_json.splitlines() == [as_json]
    read = json.loads(as_json)
    assert read["method"] == text and read["exception"].endswith(f"ValueError: {text}")
    first, *below = as_text.split("\n")
    assert all(each.isprintable() for each in as_text.split("\n")) and 'code="a b=c"' in first
    assert all(each.startswith("    ") for each in below)


def test_a_long_text_is_cut_and_keeps_the_end_of_its_traceback() -> None:
    try:
        raise ValueError("x" * 100_000 + " the end")
    except ValueError as error:
        exc_info = (type(error), error, error.__traceback__)
    line = json.loads(
        logs.JsonLines().format(logging.makeLogRecord({"msg": "m" * 9000, "where": "f" * 9000, "exc_info": exc_info}))
    )
    assert len(line["message"]) < 2100 and len(line["where"]) < 2100
    assert len(line["exception"]) < 16_100 and line["exception"].endswith(" the end")


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def record(message: str = "refused", line: int = 1, **fields: object) -> logging.LogRecord:
    given = {"name": "n", "lineno": line, "levelno": logging.INFO, "levelname": "INFO", "msg": message}
    return logging.makeLogRecord({**given, **fields})


def test_of_a_flood_the_first_lines_of_each_second_are_written_and_the_others_counted(clock: Clock) -> None:
    limit = FloodLimit(clock)
    first = [limit.admit(record(reason="A"), "t") for _ in range(MOST + 40)]
    assert first == [0] * MOST + [None] * 40
    clock.now = EVERY_S
    assert [limit.admit(record(reason="A"), "t") for _ in range(2)] == [40, 0]
    assert list(limit.due(all_of_them=True)) == []


@pytest.mark.parametrize("other", [{"reason": "B"}, {"line": 2}, {"levelno": logging.WARNING}, {"tenant": "u"}])
def test_a_flood_hides_no_other_line(clock: Clock, other: dict[str, object]) -> None:
    limit = FloodLimit(clock)
    for _ in range(MOST + 1):
        limit.admit(record(reason="A"), "t")
    tenant = str(other.pop("tenant", "t"))
    assert limit.admit(record(**{"reason": "A", **other}), tenant) == 0  # type: ignore[arg-type]


def test_what_no_later_line_counts_is_due_when_the_flood_is_over(clock: Clock) -> None:
    limit = FloodLimit(clock)
    for _ in range(MOST + 7):
        limit.admit(record(reason="A"), "t")
    assert list(limit.due()) == []
    clock.now = 2 * EVERY_S
    [due] = limit.due()
    assert (due.message, due.reason, due.tenant, due.count) == ("refused", "A", "t", 7)
    assert list(limit.due(all_of_them=True)) == []


def test_tenants_without_end_do_not_fill_the_memory(clock: Clock) -> None:
    limit = FloodLimit(clock)
    written = [limit.admit(record(), f"tenant-{number}") for number in range(KINDS + MOST + 5)]
    assert written.count(None) == 5  # those beyond share one kind
    clock.now = EVERY_S
    assert limit.admit(record(), "another") == 0


def test_the_end_of_the_process_says_what_was_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    logger, handler = logging.Logger("flooded"), logs.StderrLines()
    handler.setFormatter(logs.JsonLines())
    logger.addHandler(handler)
    with recording(), spans.entry("work", spans.Kind.SERVER), logs.bound(tenant="acme", request_id="r-1"):
        for _ in range(MOST + 9):
            logger.info("refused", extra={"reason": "A"})
        logger.info("answered")
        handler.close()
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["message"] for line in lines] == ["refused"] * MOST + ["answered", "like lines were left out"]
    last = lines[-1]
    assert (last["what"], last["omitted"], last["tenant"], last["reason"]) == ("refused", 9, "acme", "A")
    assert "trace_id" in lines[0]
    assert not {"request_id", "trace_id", "span_id"} & last.keys(), "they are of one call among many"


def test_a_line_that_cannot_be_made_is_replaced_by_one_that_quotes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    logger, handler = logging.Logger("broken"), logs.StderrLines()
    handler.setFormatter(logs.JsonLines())
    logger.addHandler(handler)
    logger.info("a %d", "private")
    [line] = capsys.readouterr().err.splitlines()
    assert json.loads(line)["message"] == "a line cannot be written"
    assert "private" not in line
