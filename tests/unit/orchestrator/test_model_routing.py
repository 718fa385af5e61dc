"""A spec's model is found before its price is known, and its assets are looked up only for a spec that can be made."""

from dataclasses import replace
from datetime import date

import pytest

from services.errors import InvalidSpec, NotFound
from services.orchestrator.admission.model_routing import Routing, route
from services.orchestrator.domain.asset import Asset
from services.orchestrator.domain.caller import Caller
from services.orchestrator.domain.card import ModelCard
from services.orchestrator.domain.media_info import AudioInfo, PictureInfo
from services.orchestrator.domain.remote import Remote, Tariff
from services.orchestrator.domain.spec import Spec, TalkingAvatar
from tests.support.builders import NOON, a_card, a_catalog, a_plan

TODAY = date(2026, 11, 29)
PICTURE, SOUND = "a" * 64, "b" * 64
SPEC = Spec("", TalkingAvatar(PICTURE, SOUND), capability="avatar")


class Assets:
    """A picture, and a sound of two seconds; counts the look-ups."""

    def __init__(self) -> None:
        self.lookups: list[str] = []

    async def get(self, sha256: str, *, tenant: str, user: str, also_hidden: bool = False) -> Asset:
        self.lookups.append(sha256)
        infos = {PICTURE: PictureInfo("image/png", 640, 480), SOUND: AudioInfo("audio/mpeg", 2.0, 44100, 2)}
        if sha256 not in infos:
            raise NotFound("asset", sha256)
        return Asset(tenant, user, sha256, 1000, infos[sha256], NOON)


def an_avatar_card(name: str, price_micros: int, timeout_ms: int = 60_000) -> ModelCard:
    remote = Remote(
        model=name,
        capability="avatar",
        prices={"any": Tariff(per_second_micros=price_micros)},
        price_as_of=TODAY,
        takes=frozenset({"audio", "seed"}),
        prompt_optional=True,
        audio_s=(0.0, 60.0),
        audio_max_bytes=10_000,
        audio_types=("audio/mpeg",),
    )
    return a_card(
        id=name,
        backend="vendor",
        operations=("talking-avatar",),
        sizes=(),
        fps=0,
        durations_ms=(10_000,),
        default_timeout_ms=timeout_ms,
        remote=remote,
    )


CARDS = an_avatar_card("cheap", 10), an_avatar_card("expensive", 30, timeout_ms=90_000)


async def routed(spec: Spec, assets: Assets) -> Routing:
    caller = Caller("studio", "ann", a_plan())
    return await route(
        spec, caller, catalog=a_catalog(*CARDS), assets=assets, today=TODAY, available=lambda _: True, seed=7
    )


async def test_a_price_limit_is_checked_against_the_length_of_the_sound() -> None:
    """The card's default length would cost 100."""
    found = await routed(replace(SPEC, price_most_micros=20), Assets())
    assert (found.card.id, found.spec.duration_ms, found.price_micros) == ("cheap", 2000, 20)


async def test_the_quote_and_the_timeout_have_room_for_every_model_that_may_be_tried() -> None:
    found = await routed(SPEC, Assets())
    assert (found.card.id, found.spec.model, found.price_micros, found.quote_micros) == ("cheap", "cheap", 20, 60)
    assert found.timeout_ms == found.spec.timeout_ms == 90_000


async def test_the_drawn_seed_is_used_only_where_none_was_given() -> None:
    assert (await routed(SPEC, Assets())).spec.seed == 7
    assert (await routed(replace(SPEC, seed=3), Assets())).spec.seed == 3


async def test_a_spec_that_no_model_can_make_is_refused_before_its_assets_are_looked_up() -> None:
    assets = Assets()
    with pytest.raises(InvalidSpec) as refused:
        await routed(replace(SPEC, duration_ms=3000), assets)
    assert refused.value.reason == "PARAMETER_UNSUPPORTED" and assets.lookups == []


async def test_each_asset_is_looked_up_once() -> None:
    assets = Assets()
    await routed(SPEC, assets)
    assert assets.lookups == [PICTURE, SOUND]


async def test_an_unknown_asset_is_named_by_its_field() -> None:
    with pytest.raises(NotFound) as missing:
        await routed(replace(SPEC, operation=TalkingAvatar(PICTURE, "c" * 64)), Assets())
    assert "assets/" + "c" * 64 in str(missing.value)
