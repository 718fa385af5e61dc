"""The remote cards that are shipped: each limit, at it and one past it, before anything is sent; and every price."""

import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.orchestrator.domain.asset import Asset
from services.orchestrator.domain.card import ModelCard
from services.orchestrator.domain.catalog import Catalog
from services.orchestrator.domain.media_info import AudioInfo, PictureInfo
from services.orchestrator.domain.spec import (
    Fit,
    ImageToVideo,
    Operation,
    Scene,
    SceneAnimation,
    Size,
    Spec,
    TalkingAvatar,
    TextToVideo,
    from_json,
    to_json,
)
from tests.support.builders import NOON

FOLDER = Path("deploy/config/remote")
CARDS: Mapping[str, ModelCard] = {
    card.id: card
    for file in sorted(FOLDER.glob("*.toml"))
    for card in Catalog.from_toml(tomllib.loads(file.read_text()))
}
WAN, FAL = "wavespeed-wan-2.5", "fal-wan-2.5"
KLING, KANDINSKY, TALK = "wavespeed-kling-2.5-turbo-std", "wavespeed-kandinsky-5-pro", "wavespeed-infinitetalk"
DETAILS_TOO_LONG = [("scene_animation.details", "SCENE_TOO_LONG")]
IMAGE, AUDIO, MASK = "a" * 64, "b" * 64, "c" * 64


def moves(**changes: Any) -> ImageToVideo:
    return ImageToVideo(**({"image": IMAGE, "prompt": "it moves"} | changes))


def scene(**changes: Any) -> SceneAnimation:
    return SceneAnimation(**({"image": IMAGE, "scene": Scene("a wave breaks")} | changes))


def speaks(**changes: Any) -> TalkingAvatar:
    return TalkingAvatar(**({"image": IMAGE, "audio": AUDIO} | changes))


def reasons(model: str, operation: Operation, **changes: Any) -> list[tuple[str, str]]:
    wrong = CARDS[model].check(Spec(model, operation, **changes))
    return [(each.field.removeprefix("spec."), each.reason) for each in wrong]


def test_the_cards_are_those_of_the_vendors_models() -> None:
    assert set(CARDS) == {WAN, FAL, KLING, KANDINSKY, TALK}
    assert CARDS[WAN].remote and CARDS[FAL].remote
    assert CARDS[WAN].remote.capability == CARDS[FAL].remote.capability == "wan-2.5"


@pytest.mark.parametrize(
    ("model", "operation", "changes", "wrong"),
    [
        (WAN, moves(prompt="x" * 2000), {}, []),
        (WAN, moves(prompt="x" * 2001), {}, [("image_to_video.prompt", "PROMPT_TOO_LONG")]),
        (FAL, moves(prompt="x" * 800), {}, []),
        (FAL, moves(prompt="x" * 801), {}, [("image_to_video.prompt", "PROMPT_TOO_LONG")]),
        (WAN, moves(prompt=""), {}, [("image_to_video.prompt", "PROMPT_EMPTY")]),
        (WAN, moves(negative_prompt="x" * 500), {}, []),
        (WAN, moves(negative_prompt="x" * 501), {}, [("image_to_video.negative_prompt", "PROMPT_TOO_LONG")]),
        (WAN, moves(prompt_expansion=False, audio=AUDIO), {"seed": 2**31 - 1, "duration_ms": 10_000}, []),
        (WAN, moves(), {"seed": 2**31}, [("seed", "SEED_OUT_OF_RANGE")]),
        (WAN, moves(), {"seed": -1}, [("seed", "SEED_OUT_OF_RANGE")]),
        (WAN, moves(), {"duration_ms": 6_000}, [("duration", "DURATION_UNSUPPORTED")]),
        (WAN, moves(), {"resolution": "1080p"}, []),
        (WAN, moves(), {"resolution": "1024p"}, [("resolution", "RESOLUTION_UNSUPPORTED")]),
        (WAN, moves(), {"size": Size(1280, 720)}, [("size", "PARAMETER_UNSUPPORTED")]),
        (WAN, moves(), {"quality": "fast"}, [("quality", "QUALITY_UNSUPPORTED")]),
        (WAN, moves(fit=Fit.PAD), {}, [("image_to_video.fit", "PARAMETER_UNSUPPORTED")]),
        (WAN, moves(guidance_scale=0.5), {}, [("image_to_video.guidance_scale", "PARAMETER_UNSUPPORTED")]),
        (WAN, TextToVideo("a wave"), {}, [("text_to_video", "OPERATION_UNSUPPORTED")]),
        (KLING, moves(guidance_scale=0.0), {}, []),
        (KLING, moves(guidance_scale=1.0, prompt="x" * 2500, negative_prompt="x" * 2500), {}, []),
        (KLING, moves(guidance_scale=1.001), {}, [("image_to_video.guidance_scale", "GUIDANCE_OUT_OF_RANGE")]),
        (KLING, moves(guidance_scale=float("nan")), {}, [("image_to_video.guidance_scale", "GUIDANCE_OUT_OF_RANGE")]),
        (KLING, moves(prompt="x" * 2501), {}, [("image_to_video.prompt", "PROMPT_TOO_LONG")]),
        (KLING, moves(negative_prompt="x" * 2501), {}, [("image_to_video.negative_prompt", "PROMPT_TOO_LONG")]),
        (KLING, moves(), {"seed": 1}, [("seed", "PARAMETER_UNSUPPORTED")]),
        (KLING, moves(), {"resolution": "720p"}, [("resolution", "RESOLUTION_UNSUPPORTED")]),
        (KLING, moves(prompt_expansion=True), {}, [("image_to_video.prompt_expansion", "PARAMETER_UNSUPPORTED")]),
        (KLING, moves(audio=AUDIO), {}, [("image_to_video.audio", "PARAMETER_UNSUPPORTED")]),
        (KLING, scene(), {"duration_ms": 10_000}, []),
        (KLING, scene(scene=Scene("")), {}, [("scene_animation.scene", "SCENE_EMPTY")]),
        (KLING, scene(scene=Scene("x" * 4000, "y" * 8000)), {}, []),
        (KLING, scene(scene=Scene("x" * 4001)), {}, [("scene_animation.scene", "SCENE_TOO_LONG")]),
        (KLING, scene(scene=Scene("x", "y" * 8001)), {}, [("scene_animation.story", "SCENE_TOO_LONG")]),
        (KLING, scene(scene=Scene("x", details=tuple((f"{n}", "v") for n in range(16)))), {}, []),
        (
            KLING,
            scene(scene=Scene("x", details=tuple((f"{n}", "v") for n in range(17)))),
            {},
            DETAILS_TOO_LONG,
        ),
        (KLING, scene(scene=Scene("x", details=(("k" * 64, "v" * 512),))), {}, []),
        (KLING, scene(scene=Scene("x", details=(("k" * 65, "v"),))), {}, DETAILS_TOO_LONG),
        (KLING, scene(scene=Scene("x", details=(("k", "v" * 513),))), {}, DETAILS_TOO_LONG),
        (KANDINSKY, moves(), {"resolution": "1024p", "duration_ms": 5000}, []),
        (KANDINSKY, moves(), {"resolution": "720p"}, [("resolution", "RESOLUTION_UNSUPPORTED")]),
        (KANDINSKY, moves(), {"duration_ms": 10_000}, [("duration", "DURATION_UNSUPPORTED")]),
        (KANDINSKY, moves(negative_prompt="no"), {}, [
            ("image_to_video.negative_prompt", "PARAMETER_UNSUPPORTED"),
            ("image_to_video.negative_prompt", "PROMPT_TOO_LONG"),
        ]),
        (TALK, speaks(), {"seed": 7}, []),
        (TALK, speaks(mask=MASK, prompt="x" * 15), {"resolution": "480p"}, []),
        (TALK, speaks(prompt="x" * 14), {}, [("talking_avatar.prompt", "PROMPT_TOO_SHORT")]),
        (TALK, speaks(prompt="x" * 20, scene=Scene("a")), {}, [("talking_avatar.scene", "SCENE_AND_PROMPT")]),
        (TALK, speaks(scene=Scene("", "a story")), {}, [("talking_avatar.scene", "SCENE_EMPTY")]),
        (TALK, speaks(audio=""), {}, [("talking_avatar.audio", "ASSET_NAME_MALFORMED")]),
        (TALK, speaks(), {"duration_ms": 5000}, [("duration", "PARAMETER_UNSUPPORTED")]),
    ],
)  # fmt: skip
def test_a_spec_is_checked_against_each_limit(
    model: str, operation: Operation, changes: dict[str, Any], wrong: list[tuple[str, str]]
) -> None:
    assert reasons(model, operation, **changes) == wrong


def picture(width: int = 640, height: int = 640, size: int = 1000) -> Asset:
    return Asset("studio", "ann", IMAGE, size, PictureInfo("image/png", width, height), NOON)


def sound(seconds: float = 5, size: int = 1000, media_type: str = "audio/mpeg") -> Asset:
    return Asset("studio", "ann", AUDIO, size, AudioInfo(media_type, seconds, 44_100, 2), NOON)


@pytest.mark.parametrize(
    ("model", "assets", "wrong"),
    [
        (WAN, {"image": picture(360, 2000)}, ["PICTURE_ASPECT_RATIO"]),
        (WAN, {"image": picture(360, 1440)}, []),
        (WAN, {"image": picture(2000, 2000, 10_000_000)}, []),
        (WAN, {"image": picture(359, 640)}, ["PICTURE_TOO_SMALL"]),
        (WAN, {"image": picture(2001, 640)}, ["PICTURE_TOO_LARGE"]),
        (WAN, {"image": picture(size=10_000_001)}, ["ASSET_TOO_LARGE"]),
        (WAN, {"image": picture(), "audio": sound(3)}, []),
        (WAN, {"image": picture(), "audio": sound(30, 15_000_000, "audio/wav")}, []),
        (WAN, {"image": picture(), "audio": sound(2.999)}, ["AUDIO_TOO_SHORT"]),
        (WAN, {"image": picture(), "audio": sound(30.001)}, ["AUDIO_TOO_LONG"]),
        (WAN, {"image": picture(), "audio": sound(size=15_000_001)}, ["ASSET_TOO_LARGE"]),
        (WAN, {"image": picture(), "audio": sound(media_type="audio/ogg")}, ["AUDIO_FORMAT"]),
        (KLING, {"image": picture(300, 750)}, []),
        (KLING, {"image": picture(299, 300)}, ["PICTURE_TOO_SMALL"]),
        (KLING, {"image": picture(300, 751)}, ["PICTURE_ASPECT_RATIO"]),
        (TALK, {"image": picture(), "audio": sound(600, 50_000_000, "audio/flac"), "mask": picture()}, []),
        (TALK, {"image": picture(), "audio": sound(600.001)}, ["AUDIO_TOO_LONG"]),
        (TALK, {"image": picture(), "audio": sound(size=50_000_001)}, ["ASSET_TOO_LARGE"]),
        (TALK, {"image": picture(), "audio": sound(), "mask": picture(641, 640)}, ["MASK_SIZE_WRONG"]),
    ],
)
def test_assets_are_checked_against_each_limit(model: str, assets: dict[str, Asset], wrong: list[str]) -> None:
    remote = CARDS[model].remote
    assert remote is not None
    operation = speaks() if model == TALK else moves()
    assert [each.reason for each in remote.check_assets(model, operation, assets)] == wrong


@pytest.mark.parametrize("model", sorted(CARDS))
def test_every_maximum_of_a_card_is_accepted_and_one_more_is_refused(model: str) -> None:
    card, make = CARDS[model], speaks if model == TALK else moves
    remote = card.remote
    assert remote is not None
    takes = remote.takes

    def against(**assets: Asset) -> list[str]:
        given = {"image": picture(), **({"audio": sound()} if "audio" in takes else {}), **assets}
        return [each.reason for each in remote.check_assets(model, make(), given)]

    at = make().kind.replace("-", "_")
    most = card.prompt_max_characters
    assert reasons(model, make(prompt="x" * most)) == []
    assert reasons(model, make(prompt="x" * (most + 1))) == [(f"{at}.prompt", "PROMPT_TOO_LONG")]
    if "negative-prompt" in takes:
        most = remote.negative_prompt_max_characters
        assert reasons(model, make(negative_prompt="x" * most)) == []
        assert reasons(model, make(negative_prompt="x" * (most + 1))) == [(f"{at}.negative_prompt", "PROMPT_TOO_LONG")]
    if "seed" in takes:
        assert reasons(model, make(), seed=remote.seed_max) == reasons(model, make(), seed=0) == []
        assert reasons(model, make(), seed=remote.seed_max + 1) == [("seed", "SEED_OUT_OF_RANGE")]
    for duration_ms in card.durations_ms:
        assert reasons(model, make(), duration_ms=duration_ms) == []
        for other in (duration_ms - 1, duration_ms + 1):
            assert reasons(model, make(), duration_ms=other) == [("duration", "DURATION_UNSUPPORTED")]
    for resolution in remote.resolutions:
        assert reasons(model, make(), resolution=resolution) == []
        assert reasons(model, make(), resolution=f"{int(resolution[:-1]) + 1}p") == [
            ("resolution", "RESOLUTION_UNSUPPORTED")
        ]
    least, most = remote.picture_side_px
    assert against(image=picture(least, least)) == against(image=picture(most, most)) == []
    assert against(image=picture(most, most + 1)) == ["PICTURE_TOO_LARGE"]
    assert least == 1 or against(image=picture(least, least - 1)) == ["PICTURE_TOO_SMALL"]
    side = max(least, 400)
    longest = int(remote.picture_aspect_max * side)
    assert against(image=picture(side, longest)) == []
    assert against(image=picture(side, longest + 1)) == ["PICTURE_ASPECT_RATIO"]
    most = remote.picture_max_bytes
    assert against(image=picture(size=most)) == []
    assert against(image=picture(size=most + 1)) == ["ASSET_TOO_LARGE"]
    if "mask" in takes:
        assert against(mask=picture(size=most)) == []
        assert against(mask=picture(size=most + 1)) == ["ASSET_TOO_LARGE"]
        assert against(mask=picture(639, 640)) == against(mask=picture(640, 641)) == ["MASK_SIZE_WRONG"]
    if "audio" in takes:
        shortest, longest_s = remote.audio_s
        assert against(audio=sound(shortest)) == against(audio=sound(longest_s)) == []
        assert shortest == 0 or against(audio=sound(shortest - 0.001)) == ["AUDIO_TOO_SHORT"]
        assert against(audio=sound(longest_s + 0.001)) == ["AUDIO_TOO_LONG"]
        assert against(audio=sound(size=remote.audio_max_bytes)) == []
        assert against(audio=sound(size=remote.audio_max_bytes + 1)) == ["ASSET_TOO_LARGE"]
        for media_type in remote.audio_types:
            assert against(audio=sound(media_type=media_type)) == []
        assert against(audio=sound(media_type="audio/webm")) == ["AUDIO_FORMAT"]


def price(model: str, operation: Operation, audio_ms: int | None = None, **changes: Any) -> int:
    card = CARDS[model]
    return card.quote(card.complete(Spec(model, operation, **changes), seed=7, picture=None, audio_ms=audio_ms))


def test_every_price_is_that_of_the_list() -> None:
    for resolution, five in (("480p", 250_000), ("720p", 500_000), ("1080p", 750_000)):
        assert price(WAN, moves(), resolution=resolution) == five
        assert price(WAN, moves(), resolution=resolution, duration_ms=10_000) == 2 * five
    assert price(WAN, moves()) == 500_000
    assert price(KLING, moves()) == price(KLING, scene()) == 210_000
    assert price(KLING, moves(), duration_ms=10_000) == 420_000
    assert price(KANDINSKY, moves()) == 200_000
    assert price(KANDINSKY, moves(), resolution="1024p") == 600_000


@pytest.mark.parametrize(("audio_ms", "seconds"), [(1, 5), (5000, 5), (5001, 6), (59_999, 60), (600_000, 600)])
def test_speech_is_priced_by_the_second_with_a_minimum(audio_ms: int, seconds: int) -> None:
    assert price(TALK, speaks(), audio_ms) == seconds * 60_000
    assert price(TALK, speaks(), audio_ms, resolution="480p") == seconds * 30_000


def test_a_long_speech_has_a_timeout_as_its_vendor_needs() -> None:
    card = CARDS[TALK]
    completed = card.complete(Spec(TALK, speaks()), seed=2**40, picture=None, audio_ms=600_000)
    assert completed.timeout_ms == 1_200_000 + 600 * 40_000
    assert (completed.duration_ms, completed.resolution) == (600_000, "720p")
    assert completed.seed is not None and 0 <= completed.seed < 2**31


def test_a_field_that_a_model_does_not_have_stays_unset() -> None:
    completed = CARDS[KLING].complete(Spec(KLING, moves()), seed=7, picture=None)
    assert (completed.seed, completed.resolution, completed.size) == (None, None, None)


TEXTS = st.text(max_size=20)
SCENES = st.builds(Scene, TEXTS, TEXTS, st.lists(st.tuples(TEXTS, TEXTS), max_size=3).map(tuple))
OPERATIONS = st.one_of(
    st.builds(TextToVideo, TEXTS),
    st.builds(
        ImageToVideo,
        st.just(IMAGE),
        TEXTS,
        st.sampled_from(Fit),
        st.sampled_from(["", AUDIO]),
        st.none() | TEXTS,
        st.none() | st.booleans(),
        st.none() | st.floats(0, 1),
    ),
    st.builds(SceneAnimation, st.just(IMAGE), SCENES, st.none() | TEXTS, st.none() | st.floats(0, 1)),
    st.builds(TalkingAvatar, st.just(IMAGE), st.just(AUDIO), st.sampled_from(["", MASK]), TEXTS, SCENES),
)


@given(OPERATIONS, st.none() | st.sampled_from(["480p", "720p"]), st.none() | st.integers(0, 9))
def test_a_stored_spec_is_read_unchanged(operation: Operation, resolution: str | None, seed: int | None) -> None:
    spec = Spec("m", operation, resolution=resolution, seed=seed, quality="quality")
    assert from_json(to_json(spec)) == spec
    assert spec.fingerprint() == from_json(to_json(spec)).fingerprint()
    assert spec.fingerprint() != replace(spec, resolution="1080p").fingerprint()


def test_digests_of_old_specs_do_not_change() -> None:
    assert to_json(Spec("m", moves())) == {
        "model": "m",
        "operation": {"kind": "image-to-video", "image": IMAGE, "prompt": "it moves", "fit": "crop"},
        "duration_ms": None,
        "size": None,
        "seed": None,
        "timeout_ms": None,
        "quality": None,
    }
