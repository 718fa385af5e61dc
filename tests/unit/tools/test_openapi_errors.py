"""How the errors that the comments of RPCs list become answers of HTTP."""

from tools.openapi.message_schemas import MessageSchemas
from tools.openapi.problems import Error, answers
from tools.openapi.proto_files import proto_files
from tools.openapi.rpc_errors import listed, without_errors
from tools.openapi.rpc_operations import parts

COMMENT = """Admits one job. Returns it.

A second paragraph.

Errors, in addition to those of every RPC:

* NOT_FOUND: the picture does not exist.
  Upload it.
* ALREADY_EXISTS (REQUEST_ID_REUSED): another spec.
* INVALID_ARGUMENT, RESOURCE_EXHAUSTED: as above.
* FAILED_PRECONDITION (QUOTE_EXPIRED, QUOTE_STALE): preview it again.
* UNAVAILABLE (a reason of another kind): wait."""


def test_a_comment_lists_errors_with_their_status_and_reasons() -> None:
    assert listed(COMMENT) == [
        Error(404, "The picture does not exist. Upload it."),
        Error(409, "Another spec.", ("REQUEST_ID_REUSED",)),
        Error(400, "As above."),
        Error(429, "As above."),
        Error(422, "Preview it again.", ("QUOTE_EXPIRED", "QUOTE_STALE")),
        Error(503, "(a reason of another kind) wait."),
    ]


def test_errors_of_another_rpc_that_a_comment_names_are_answers_too() -> None:
    protos = proto_files()
    jobs = next(part for part in parts(protos, MessageSchemas(protos)) if part.tag == "Jobs")
    batch = next(each for each in jobs.operations if each.operation_id == "submitJobs")
    assert "`QUOTE_STALE`" in batch.answers[422].description
    assert "`BATCH_TOO_LARGE`" in batch.answers[400].description


def test_what_comes_before_the_errors_is_the_description() -> None:
    assert without_errors(COMMENT) == "Admits one job. Returns it.\n\nA second paragraph."
    assert without_errors("Errors: only those of every RPC.") == ""
    assert listed("Lists them.\n\nErrors: those of every RPC.") == []


def test_errors_of_one_status_are_one_answer_with_a_line_for_each() -> None:
    made = answers(
        [Error(503, "Away.", ("A_B", "C_D")), Error(400, "Wrong."), Error(503, "Busy."), Error(400, "Wrong.")]
    )
    assert {status: each.description for status, each in made.items()} == {
        400: "* Wrong.",
        503: "* `A_B`, `C_D`: Away.\n* Busy.",
    }
    assert "Retry-After" in made[503].headers
