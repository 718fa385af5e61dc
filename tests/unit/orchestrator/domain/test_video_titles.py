"""The title that a video has from its prompt."""

from hypothesis import given
from hypothesis import strategies as st

from services.orchestrator.domain.library_details import problems
from services.orchestrator.domain.library_entry import details_of
from tests.support.builders import a_job, a_spec


def titled(prompt: str) -> str:
    return details_of(a_job(spec=a_spec(prompt=prompt))).title


def test_a_title_has_no_line_ends_and_nothing_that_hides_or_turns_text() -> None:
    assert titled(" it looks\n up \u202egnp.\x1b[31m\u2028end ") == "it looks up gnp. [31m end"


def test_a_title_keeps_the_joiners_of_words_and_emoji() -> None:
    assert titled("می\u200cخواهم 👩\u200d🚀") == "می\u200cخواهم 👩\u200d🚀"


@given(st.text(max_size=200))
def test_each_title_can_be_set_by_an_upload_or_an_import(prompt: str) -> None:
    assert list(problems(details_of(a_job(spec=a_spec(prompt=prompt))), "details")) == []
