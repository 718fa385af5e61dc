"""Live playback with hostile requests and fragments, and while the API is away."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.support import hls_rules
from tests.support.blob_stores import until
from tests.support.live_fragments import fragments, shown
from tests.support.scripted_lives import LIVE, MEDIA, TOKEN, VIDEO, LiveRig, scripted_lives

ORIGIN = {"Origin": "https://player.example"}
MADE = fragments([4, 4, 4])


@pytest.fixture
async def rig() -> AsyncIterator[LiveRig]:
    async with scripted_lives() as made:
        made.lives.add(*MADE[:2])
        yield made


def at(name: str, take: str = "0", token: str = TOKEN) -> str:
    return f"{VIDEO}/live/{take}/{name}?token={token}"


def error(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["cache-control"] == "no-store"
    return answer.status_code, answer.json()["error"]["code"]


@pytest.mark.parametrize(
    "name",
    [
        *("2.m4s", "00.m4s", "-1.m4s", "+1.m4s", "1e0.m4s", "٣.m4s", "99999.m4s", "1000000.m4s", "0.m4s.mp4", "0.M4S"),
        *(
            "init.mp4",
            "init-2.mp4",
            "init-0.m4s",
            "video.m3u8.",
            "VIDEO.m3u8",
            "..%2f..%2fetc%2fpasswd",
            "%2e%2e",
            "0.m4s%00",
        ),
        *("%0a0.m4s", "0.m4s%0a", "a" * 5000),
    ],
)
async def test_a_name_that_no_playlist_has_is_nothing(rig: LiveRig, name: str) -> None:
    answer = await rig.http.get(at(name))
    assert answer.status_code == 404
    for take in ("1", "01", "-0", "0000", "99999", "٠"):
        assert error(await rig.http.get(at("0.m4s", take))) == (404, "PATH_UNKNOWN")


async def test_a_token_of_another_form_never_reaches_the_api(rig: LiveRig) -> None:
    for wrong in (
        "",
        "i2v_0123_secret",
        "signed.abc.def",
        "live.abc",
        f"{TOKEN}%0a",
        f"{TOKEN}&token={TOKEN}",
        "live." + "a" * 9000,
    ):
        for url in (LIVE, MEDIA, at("0.m4s")):
            assert error(await rig.http.get(url.replace(TOKEN, wrong))) == (403, "SIGNED_URL_WRONG")
    assert error(await rig.http.get(MEDIA.partition("?")[0])) == (403, "SIGNED_URL_WRONG")
    assert error(await rig.http.get(LIVE.partition("?")[0])) == (401, "API_KEY_MISSING")
    assert rig.lives.tokens == []


async def test_a_token_of_another_job_shows_nothing_of_it(rig: LiveRig) -> None:
    for url in (LIVE, MEDIA, at("0.m4s"), at("init-0.mp4")):
        assert error(await rig.http.get(url.replace("video_a", "video_b"))) == (404, "PATH_UNKNOWN")


async def test_a_key_gets_a_playlist_whose_urls_need_none(rig: LiveRig) -> None:
    who = {"Authorization": "Bearer the-key", "I2V-User": "ann"} | ORIGIN
    answer = await rig.http.get(LIVE.partition("?")[0], headers=who)
    assert rig.lives.tokens[0] == "Bearer the-key"
    assert set(rig.lives.tokens[1:]) == {f"Bearer {TOKEN}"}
    _, uri = hls_rules.multivariant(answer.text)
    assert "access-control-allow-origin" not in answer.headers  # a key is no business of other origins
    assert (await rig.http.get(f"{VIDEO}/{uri}")).status_code == 200


async def test_other_methods_are_refused(rig: LiveRig) -> None:
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        answer = await rig.http.request(method, LIVE)
        assert (error(answer), answer.headers["allow"]) == ((405, "METHOD_UNSUPPORTED"), "GET, HEAD")
    assert rig.lives.tokens == []


@pytest.mark.parametrize("origins", [[], ["https://app.example"]])
async def test_pages_of_other_origins_may_play_what_they_have_the_url_of(origins: list[str]) -> None:
    async with scripted_lives(origins) as rig:
        rig.lives.add(*MADE[:2])
        for url in (LIVE, MEDIA, at("0.m4s"), at("9.m4s")):
            assert (await rig.http.get(url, headers=ORIGIN)).headers["access-control-allow-origin"] == "*"
            wish = {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "range"}
            asked = await rig.http.options(url, headers=ORIGIN | wish)
            assert (asked.status_code, asked.headers["access-control-allow-methods"]) == (200, "GET, HEAD")
            assert "range" in asked.headers["access-control-allow-headers"].lower()
            assert "access-control-allow-credentials" not in asked.headers


async def test_pages_play_with_a_key_only_from_the_chosen_origins() -> None:
    key = {"Authorization": "Bearer the-key"}
    async with scripted_lives(["https://app.example"]) as rig:
        rig.lives.add(*MADE[:2])
        for origin, allowed in (("https://app.example", "https://app.example"), ("https://player.example", None)):
            answer = await rig.http.get(f"{VIDEO}/live.m3u8", headers=key | {"Origin": origin})
            assert answer.headers.get("access-control-allow-origin") == allowed


async def test_players_go_on_after_a_restart_of_the_api(rig: LiveRig) -> None:
    before = (await rig.http.get(MEDIA)).text
    await rig.stop()

    async def asked() -> bool:  # the answer of before is used, also when the API was asked in vain
        answer = await rig.http.get(MEDIA)
        assert (answer.status_code, answer.text) == (200, before)
        return rig.lives.finds == 1 and rig.registry.get_sample_value("i2v_studio_live_lookups_total") > 1  # type: ignore[operator]

    await until(asked)
    gone = await rig.http.get(at("0.m4s"))
    assert (gone.status_code, gone.headers["retry-after"]) == (503, "1")
    rig.lives.add(MADE[2])
    await rig.start()

    async def grown() -> bool:
        return len(hls_rules.media((await rig.http.get(MEDIA)).text).segments) == 3

    await until(grown)
    hls_rules.grew(before, (await rig.http.get(MEDIA)).text)
    segments = [(await rig.http.get(at(f"{number}.m4s"))).content for number in range(3)]
    assert len(shown((await rig.http.get(at("init-0.mp4"))).content + b"".join(segments))) == 12


async def test_a_job_that_makes_nothing_for_long_is_to_be_asked_again(rig: LiveRig) -> None:
    rig.lives.live.ClearField("fragments")
    answer = await rig.http.get(LIVE)
    assert (error(answer), answer.headers["retry-after"]) == ((503, "LIVE_PENDING"), "1")
    assert error(await rig.http.get(MEDIA)) == (404, "PATH_UNKNOWN")


async def test_a_fragment_that_is_none_is_refused_and_the_others_play(rig: LiveRig) -> None:
    rig.lives.live.ClearField("fragments")
    rig.lives.add(MADE[0], b"\0\0\0\x00moov" * 5000, MADE[1][:300] + bytes(300), bytes(3_000_000), MADE[1])
    assert (await rig.http.get(at("0.m4s"))).status_code == 200
    for number in (1, 2, 3):
        assert error(await rig.http.get(at(f"{number}.m4s"))) == (500, "FRAGMENT_UNPLAYABLE")
    assert (await rig.http.get(at("4.m4s"))).status_code == 200
    assert rig.registry.get_sample_value("i2v_studio_live_unplayable_total") == 3


async def test_a_fragment_shorter_than_was_said_is_refused(rig: LiveRig) -> None:
    rig.lives.live.fragments[0].size_bytes += 5
    assert error(await rig.http.get(at("0.m4s"))) == (500, "FRAGMENT_UNPLAYABLE")


async def test_head_is_answered_as_get(rig: LiveRig) -> None:
    async def lengths(url: str) -> Any:
        answers = [await rig.http.head(url), await rig.http.get(url)]
        return {(each.status_code, each.headers["content-length"], each.headers["content-type"]) for each in answers}

    for url in (LIVE, MEDIA, at("0.m4s"), at("init-0.mp4")):
        assert len(await lengths(url)) == 1
