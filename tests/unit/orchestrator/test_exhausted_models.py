"""A capability goes on with its other models when the limit of one is reached."""

import pytest

from services.errors import QuotaExceeded
from services.orchestrator.admission.admit import Submission
from services.orchestrator.admission.exhausted_models import exhausted_models
from services.orchestrator.admission.preview import RequestedSpec
from services.orchestrator.domain.limits.calendar import Per, Period
from services.orchestrator.domain.limits.limit import Limit, Subject
from services.orchestrator.domain.limits.measure import Jobs
from services.orchestrator.domain.limits.status import LimitStatus
from services.orchestrator.domain.remote import Tariff
from services.orchestrator.domain.spec import Spec, TalkingAvatar
from tests.support.admission_ports import CALLER, PICTURE, SOUND, AdmissionPorts, MemoryCounters
from tests.support.builders import a_catalog
from tests.support.remote_cards import an_avatar_card

CARDS = (
    an_avatar_card("cheap", prices={"any": Tariff(per_second_micros=10)}),
    an_avatar_card("dear", prices={"any": Tariff(per_second_micros=30)}),
)
SPEC = Spec("", TalkingAvatar(PICTURE, SOUND), capability="avatar")


def none_of(*models: str) -> MemoryCounters:
    """A plan that allows no jobs of these models."""
    limits = [Limit(Jobs(model=model), Subject.USER, Per.DAY, 0) for model in models]
    return MemoryCounters([LimitStatus(limit, Period("2026-11-21")) for limit in limits])


async def test_the_next_model_is_chosen_at_the_same_quote_and_the_exhausted_one_is_never_tried() -> None:
    ports = AdmissionPorts(catalog=a_catalog(*CARDS), counters=none_of("cheap"))
    preview = await ports.previewer.preview(RequestedSpec(SPEC), CALLER)
    assert preview.admissible and preview.quoted is not None
    assert preview.quoted.routing.card.id == "dear"
    submission = Submission(spec=SPEC, request_id="1", quote_token=preview.quoted.token)
    job = await ports.admitter.admit(submission, CALLER)
    assert (job.spec.model, job.spec.models, job.price_micros, job.quote_micros) == ("dear", ("dear",), 60, 60)


async def test_no_model_that_may_be_tried_later_is_beyond_its_limit() -> None:
    ports = AdmissionPorts(catalog=a_catalog(*CARDS), counters=none_of("dear"))
    job = await ports.admitter.admit(Submission(spec=SPEC, request_id="1"), CALLER)
    assert (job.spec.model, job.spec.models) == ("cheap", ("cheap",))


async def test_the_limits_are_named_when_no_model_is_left() -> None:
    ports = AdmissionPorts(catalog=a_catalog(*CARDS), counters=none_of("cheap", "dear"))
    assert not (await ports.previewer.preview(RequestedSpec(SPEC), CALLER)).admissible
    with pytest.raises(QuotaExceeded) as refused:
        await ports.admitter.admit(Submission(spec=SPEC, request_id="1"), CALLER)
    assert [each.measure for each in refused.value.violations] == ["jobs:model=cheap", "jobs:model=dear"]


@pytest.mark.parametrize(
    ("measures", "exhausted"),
    [
        (["jobs:model=a"], {"a"}),
        (["jobs:operation=text-to-video:model=a"], {"a"}),
        (["jobs:model=a", "jobs:model=b"], set()),  # none is left
        (["jobs:model=a", "spend"], set()),  # another model does not help
        (["jobs:model=c"], set()),
        ([], set()),
    ],
)
def test_another_model_helps_only_if_nothing_else_refuses(measures: list[str], exhausted: set[str]) -> None:
    assert exhausted_models(measures, ("a", "b")) == exhausted
