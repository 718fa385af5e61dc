"""A preview reports everything in one answer: each problem, each limit, each line of the price."""

from dataclasses import replace
from datetime import timedelta

import pytest

from services.errors import PreconditionFailed, Violation
from services.orchestrator.admission.admit import Submission
from services.orchestrator.admission.preview import ExpectedTimes, Preview, RequestedSpec
from services.orchestrator.domain.catalog import Catalog
from services.orchestrator.domain.limits.calendar import Per, Period
from services.orchestrator.domain.limits.limit import Limit, Subject
from services.orchestrator.domain.limits.measure import Jobs, Measure, QueuedJobs, Spend, StoredBytes
from services.orchestrator.domain.limits.status import LimitStatus
from services.orchestrator.domain.remote import Tariff
from services.orchestrator.domain.spec import ImageToVideo, Spec, TalkingAvatar
from services.reasons import SpecReason
from tests.support.admission_ports import CALLER, PICTURE, SOUND, AdmissionPorts, MemoryCounters
from tests.support.builders import NOON, a_card, a_catalog, a_spec
from tests.support.remote_cards import an_avatar_card

MONTH = Period("2026-11", NOON, NOON + timedelta(days=9))


def a_status(measure: Measure, most: int | None, used: int = 0, held: int = 0) -> LimitStatus:
    per = Per.AT_A_TIME if measure.at_a_time else Per.MONTH
    return LimitStatus(Limit(measure, Subject.USER, per, most), Period("") if measure.at_a_time else MONTH, used, held)


async def previewed(spec: Spec | None, ports: AdmissionPorts | None = None, *wrong: Violation) -> Preview:
    return await (ports or AdmissionPorts()).previewer.preview(RequestedSpec(spec, wrong), CALLER)


def found(preview: Preview) -> set[tuple[str, str]]:
    return {(each.field, str(each.reason)) for each in preview.problems}


async def test_a_spec_without_problems_has_its_price_and_a_token() -> None:
    preview = await previewed(a_spec(duration_ms=2000))
    assert preview.admissible and not preview.problems
    assert preview.quoted is not None
    assert (preview.quoted.routing.quote_micros, sum(each.amount_micros for each in preview.quoted.lines)) == (
        2000,
        2000,
    )
    assert preview.quoted.token_expire_time == NOON + timedelta(minutes=15)
    assert preview.quoted.expected is None


async def test_problems_of_the_spec_and_of_its_assets_come_together() -> None:
    spec = a_spec(
        operation=ImageToVideo(image="c" * 64, prompt="", audio=PICTURE),
        duration_ms=7000,
        seed=-1,
        timeout_ms=1,
        price_most_micros=5,
    )
    unreadable = Violation("spec.quality", "is 9; give QUALITY or FAST", SpecReason.QUALITY_UNKNOWN)
    preview = await previewed(spec, None, unreadable)
    assert not preview.admissible and preview.quoted is None
    assert found(preview) == {
        ("spec.quality", "QUALITY_UNKNOWN"),
        ("spec.price_max", "PARAMETER_UNSUPPORTED"),
        ("spec.image_to_video.prompt", "PROMPT_EMPTY"),
        ("spec.image_to_video.audio", "PARAMETER_UNSUPPORTED"),
        ("spec.image_to_video.audio", "ASSET_NOT_A_SOUND"),
        ("spec.image_to_video.image", "NOT_FOUND"),
        ("spec.duration", "DURATION_UNSUPPORTED"),
        ("spec.seed", "SEED_OUT_OF_RANGE"),
        ("spec.timeout", "TIMEOUT_OUT_OF_RANGE"),
    }


async def test_a_problem_of_the_request_alone_refuses_too() -> None:
    preview = await previewed(a_spec(), None, Violation("spec.duration", "is not a valid duration"))
    assert found(preview) == {("spec.duration", "INVALID_VALUE")} and preview.quoted is None


async def test_an_unknown_model_does_not_hide_a_missing_asset() -> None:
    preview = await previewed(a_spec(model="gone", operation=ImageToVideo(image="c" * 64, prompt="a wave")))
    assert found(preview) == {("spec.model", "MODEL_UNKNOWN"), ("spec.image_to_video.image", "NOT_FOUND")}


async def test_a_spec_without_an_operation_has_what_was_found_before() -> None:
    missing = Violation("spec.operation", "is missing", SpecReason.OPERATION_MISSING)
    assert (await previewed(None, None, missing)).problems == [missing]


async def test_a_capability_has_the_problems_of_each_of_its_models_and_each_once() -> None:
    cards = an_avatar_card("short", audio_s=(0.0, 1.0)), an_avatar_card("small", audio_max_bytes=10)
    ports = AdmissionPorts(catalog=a_catalog(*cards))
    spec = Spec("", TalkingAvatar("c" * 64, SOUND), capability="avatar", size=None, seed=-1)
    preview = await previewed(spec, ports)
    assert found(preview) == {
        ("spec.talking_avatar.image", "NOT_FOUND"),
        ("spec.talking_avatar.audio", "AUDIO_TOO_LONG"),
        ("spec.talking_avatar.audio", "ASSET_TOO_LARGE"),
        ("spec.seed", "PARAMETER_UNSUPPORTED"),
        ("spec.seed", "SEED_OUT_OF_RANGE"),
    }
    assert len(preview.problems) == len(set(preview.problems))


async def test_a_capability_with_a_model_that_fits_has_no_problems() -> None:
    cards = an_avatar_card("short", audio_s=(0.0, 1.0)), an_avatar_card("fits")
    ports = AdmissionPorts(catalog=a_catalog(*cards))
    spec = Spec("", TalkingAvatar(PICTURE, SOUND), capability="avatar")
    assert (await previewed(spec, ports)).admissible
    expensive = await previewed(replace(spec, price_most_micros=1999), ports)
    assert found(expensive) == {("spec.price_max", "PRICE_ABOVE_MOST")}
    both = await previewed(replace(spec, model="fits"), ports)
    assert found(both) == {("spec.capability", "MODEL_AND_CAPABILITY")}


async def test_every_limit_says_what_is_left_and_all_that_are_exceeded_are_named() -> None:
    ports = AdmissionPorts(
        counters=MemoryCounters(
            [
                a_status(Spend(), 2500, used=1000, held=500),
                a_status(Jobs(), 5, used=5),
                a_status(Jobs(operation="image-to-video"), 0),
                a_status(QueuedJobs(), None, held=3),
                a_status(StoredBytes(), 10, used=10),
            ]
        )
    )
    preview = await previewed(a_spec(duration_ms=1000), ports)
    assert [(each.asked, each.left, each.exceeded) for each in preview.limits] == [
        (1000, 0, False),
        (1, -1, True),
        (None, 0, False),
        (1, None, False),
        (None, 0, False),
    ]
    assert not preview.admissible and preview.quoted is not None


async def test_limits_are_shown_for_a_spec_with_problems_too() -> None:
    ports = AdmissionPorts(counters=MemoryCounters([a_status(Jobs(), 5, used=1)]))
    preview = await previewed(a_spec(model="gone"), ports)
    assert [(each.asked, each.left) for each in preview.limits] == [(None, 4)]


async def test_a_batch_counts_as_its_sum_and_not_as_one() -> None:
    """Each of five jobs would fit where one is left."""
    ports = AdmissionPorts(counters=MemoryCounters([a_status(Jobs(), 10, used=9)]))
    batch = await ports.previewer.preview_batch([RequestedSpec(a_spec())] * 5, CALLER)
    assert [each.admissible for each in batch.previews] == [True, False, False, False, False]
    assert [(each.asked, each.left, each.exceeded) for each in batch.limits] == [(5, -4, True)]
    assert not batch.admissible


async def test_a_smaller_job_of_a_batch_fits_after_one_that_does_not() -> None:
    ports = AdmissionPorts(counters=MemoryCounters([a_status(Spend(), 2500)]))
    specs = [RequestedSpec(a_spec(duration_ms=ms)) for ms in (1000, 2000, 1000)]
    batch = await ports.previewer.preview_batch(specs, CALLER)
    assert [each.admissible for each in batch.previews] == [True, False, True]
    assert [each.asked for each in batch.limits] == [4000]


async def test_a_batch_with_a_bad_job_counts_the_others_and_is_not_admissible() -> None:
    ports = AdmissionPorts(counters=MemoryCounters([a_status(Jobs(), 10)]))
    batch = await ports.previewer.preview_batch([RequestedSpec(a_spec()), RequestedSpec(a_spec(model="gone"))], CALLER)
    assert [each.admissible for each in batch.previews] == [True, False]
    assert (batch.admissible, [each.asked for each in batch.limits]) == (False, [1])


async def test_the_expected_times_come_from_the_forecast() -> None:
    expected = ExpectedTimes(NOON + timedelta(seconds=5), NOON + timedelta(seconds=65))

    async def forecast(*_: object) -> ExpectedTimes:
        return expected

    previewer = replace(AdmissionPorts().previewer, forecast=forecast)
    preview = await previewer.preview(RequestedSpec(a_spec()), CALLER)
    assert preview.quoted is not None and preview.quoted.expected == expected


async def a_token(ports: AdmissionPorts, spec: Spec) -> str:
    preview = await previewed(spec, ports)
    assert preview.quoted is not None
    return preview.quoted.token


def a_submission(spec: Spec, token: str, number: int = 1) -> Submission:
    return Submission(spec=spec, request_id=f"00000000-0000-4000-8000-{number:012}", quote_token=token)


async def test_a_job_with_a_quote_names_it_and_the_version_of_the_prices() -> None:
    ports = AdmissionPorts()
    token = await a_token(ports, a_spec())
    job = await ports.admitter.admit(a_submission(a_spec(), token), CALLER)
    assert len(job.quote_id) == len(job.card_version) == 12 and job.quote_micros == 1000
    assert ports.registry.get_sample_value("i2v_quotes_total", {"step": "valid"}) == 1


async def refused(ports: AdmissionPorts, spec: Spec, token: str) -> PreconditionFailed:
    with pytest.raises(PreconditionFailed) as error:
        await ports.admitter.admit(a_submission(spec, token), CALLER)
    assert ports.admissions.jobs == {}
    return error.value


async def test_a_stale_quote_is_refused_with_the_new_price() -> None:
    ports = AdmissionPorts()
    token = await a_token(ports, a_spec())
    ports.catalog = a_catalog(a_card(price_per_second_micros=1500))
    error = await refused(ports, a_spec(), token)
    assert (error.reason, error.metadata["quote_micros"], error.metadata["currency"]) == ("QUOTE_STALE", "1500", "USD")


async def test_a_quote_of_another_version_of_the_card_is_stale_though_the_price_is_the_same() -> None:
    """A card with the same price for this length, but another one for the rest."""
    ports = AdmissionPorts()
    token = await a_token(ports, a_spec(duration_ms=1000))
    ports.catalog = a_catalog(a_card(price_per_second_micros=1000, durations_ms=(1000, 2000)))
    await ports.admitter.admit(a_submission(a_spec(duration_ms=1000), token), CALLER)
    ports = AdmissionPorts(catalog=a_catalog(an_avatar_card("far", prices={"any": Tariff(0, 1000)})))
    spec = Spec("far", TalkingAvatar(PICTURE, SOUND))
    token = await a_token(ports, spec)
    ports.catalog = a_catalog(an_avatar_card("far", prices={"any": Tariff(500, 0)}))
    assert (await refused(ports, spec, token)).metadata["quote_micros"] == "1000"


async def test_an_expired_quote_is_refused_but_not_a_repeat() -> None:
    ports = AdmissionPorts()
    token = await a_token(ports, a_spec())
    first = await ports.admitter.admit(a_submission(a_spec(), token), CALLER)
    ports.clock.advance(15 * 60)
    assert await ports.admitter.admit(a_submission(a_spec(), token), CALLER) == first
    with pytest.raises(PreconditionFailed) as error:
        await ports.admitter.admit(a_submission(a_spec(), token, number=2), CALLER)
    assert error.value.reason == "QUOTE_EXPIRED"


async def test_a_clock_that_steps_back_refuses_no_quote() -> None:
    ports = AdmissionPorts()
    token = await a_token(ports, a_spec())
    ports.clock.advance(-3600)
    assert (await ports.admitter.admit(a_submission(a_spec(), token), CALLER)).quote_id


async def test_a_quote_of_another_spec_or_user_and_a_changed_one_are_refused() -> None:
    ports = AdmissionPorts()
    token = await a_token(ports, a_spec())
    assert (await refused(ports, a_spec(seed=1), token)).reason == "QUOTE_FOREIGN"
    other = await ports.previewer.preview(RequestedSpec(a_spec()), replace(CALLER, user="bob"))
    assert other.quoted is not None
    assert (await refused(ports, a_spec(), other.quoted.token)).reason == "QUOTE_FOREIGN"
    assert (await refused(ports, a_spec(), token[:-1])).reason == "QUOTE_MALFORMED"


def avatars(cheap: int, expensive: int) -> Catalog:
    """Two models of one capability, at a vendor each."""
    cards = [an_avatar_card(name, prices={"any": Tariff(0, price)}) for name, price in (("a", cheap), ("b", expensive))]
    return a_catalog(*(replace(card, backend=f"vendor-{card.id}") for card in cards))


async def test_the_quote_of_a_capability_holds_whichever_of_its_models_is_available() -> None:
    ports = AdmissionPorts(catalog=avatars(1000, 2000))
    spec = Spec("", TalkingAvatar(PICTURE, SOUND), capability="avatar")
    token = await a_token(ports, spec)
    job = await replace(ports.admitter, available=lambda backend: backend != "vendor-a").admit(
        a_submission(spec, token), CALLER
    )
    assert (job.quote_micros, job.price_micros) == (2000, 2000)


async def test_the_quote_of_a_capability_is_stale_when_any_of_its_models_has_another_price() -> None:
    ports = AdmissionPorts(catalog=avatars(1000, 2000))
    spec = Spec("", TalkingAvatar(PICTURE, SOUND), capability="avatar")
    token = await a_token(ports, spec)
    ports.catalog = avatars(1500, 2000)
    assert (await refused(ports, spec, token)).metadata["quote_micros"] == "2000"
