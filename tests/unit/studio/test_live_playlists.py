"""Takes and playlists: they only grow, they say what RFC 8216 demands, and nothing is missing or shown twice."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from services.studio.live import playlists
from services.studio.live.takes import Alike, Fragment, Take
from services.studio.live.takes import takes as takes_of
from tests.support import hls_rules

TOKEN = "live.WyJzdHVkaW8iXQ.tag"


def some(*announced: tuple[int, str, int]) -> list[Fragment]:
    return [Fragment(index, name * 64, frames, 1000 * frames) for index, name, frames in announced]


def takes(announced: list[Fragment], alike: Alike = lambda before, after: False) -> list[Take]:
    """Unless a test says otherwise, each replacement has another header."""
    return takes_of(announced, alike)


def names(take: Take) -> str:
    return "".join(each.fragment.sha256[0] for each in take.segments)


def text(take: Take, *, ended: bool = False, rate: int = 8) -> str:
    return playlists.media(take, token=TOKEN, rate=Fraction(rate), ended=ended)


def test_a_job_without_a_replacement_has_one_playlist() -> None:
    (take,) = takes(some((0, "a", 5), (1, "b", 4), (2, "c", 4)))
    assert [each.begins for each in take.segments] == [0, 5, 9]
    found = hls_rules.media(text(take, ended=True))
    assert [each.duration_s for each in found.segments] == [0.625, 0.5, 0.5]
    assert {each.init for each in found.segments} == {f"init-0.mp4?token={TOKEN}"}
    assert (found.ended, any(each.discontinuity for each in found.segments)) == (True, False)


def test_a_replaced_fragment_begins_a_playlist_and_the_one_before_goes_on_after_what_it_has() -> None:
    announced = some((0, "a", 4), (1, "b", 4), (2, "c", 4), (1, "B", 4), (2, "C", 4), (3, "D", 4), (4, "E", 4))
    before, now = takes(announced)
    assert (names(before), names(now)) == ("abcDE", "aBCDE")
    found = hls_rules.media(text(before, ended=True))
    assert [each.discontinuity for each in found.segments] == [False, False, False, True, False]
    assert [each.init[:6] for each in found.segments] == ["init-0", "init-0", "init-0", "init-3", "init-3"]
    assert before.frames == now.frames == 20
    assert not any(each.discontinuity for each in hls_rules.media(text(now)).segments)


def test_a_replacement_with_the_header_of_what_it_follows_needs_no_discontinuity() -> None:
    announced = some((0, "a", 4), (1, "b", 4), (0, "A", 4), (1, "B", 4), (2, "C", 4), (2, "X", 4), (3, "Y", 4))
    asked: list[str] = []

    def alike(before: Fragment, after: Fragment) -> bool:
        asked.append(before.sha256[0] + after.sha256[0])
        return "Y" not in asked[-1]

    first, second, third = takes(announced, alike)
    assert (names(first), names(second), names(third)) == ("abCY", "ABCY", "ABXY")
    inits = [[each.init for each in take.segments] for take in (first, second, third)]
    assert inits == [[0, 0, 0, 3], [0, 0, 0, 3], [0, 0, 0, 0]]
    assert asked == ["aC", "aY", "AY"], "each against the header in use"
    breaks = [[each.discontinuity for each in hls_rules.media(text(take)).segments] for take in (first, second)]
    assert breaks == [[False, False, False, True]] * 2


def test_an_attempt_that_ends_before_what_it_replaces_takes_nothing_from_players() -> None:
    before, now = takes(some((0, "a", 4), (1, "b", 4), (2, "c", 4), (0, "A", 4)))
    assert (names(before), names(now)) == ("abc", "A")
    assert hls_rules.media(text(before, ended=True)).ended


def test_fragments_of_other_lengths_leave_no_gap() -> None:
    before, now = takes(some((0, "a", 4), (1, "b", 4), (1, "B", 3), (2, "C", 3), (3, "D", 3)))
    assert (names(before), names(now)) == ("abCD", "aBCD")
    assert [each.begins for each in before.segments] == [0, 4, 8, 11]


def test_a_third_attempt_breaks_both_earlier_playlists() -> None:
    announced = some((0, "a", 4), (1, "b", 4), (0, "A", 4), (1, "B", 4), (2, "C", 4), (2, "X", 4), (3, "Y", 4))
    first, second, third = takes(announced)
    assert (names(first), names(second), names(third)) == ("abCY", "ABCY", "ABXY")
    breaks = [[each.discontinuity for each in hls_rules.media(text(take)).segments] for take in (first, second, third)]
    assert breaks == [[False, False, True, True], [False, False, False, True], [False] * 4]


@st.composite
def histories(draw: st.DrawFn) -> list[Fragment]:
    """What attempts announce: each fragment follows the current ones, or replaces one of them."""
    announced, current = list[Fragment](), 0
    for number in range(draw(st.integers(0, 14))):
        index = draw(st.integers(0, current)) if draw(st.booleans()) else current
        announced.append(Fragment(index, f"{number:064x}", draw(st.integers(1, 20)), draw(st.integers(100, 5000))))
        current = index + 1
    return announced


@given(histories())
def test_every_playlist_only_grows_and_the_newest_has_the_current_fragments(history: list[Fragment]) -> None:
    earlier: list[str] = []
    for length in range(len(history) + 1):
        found = takes(history[:length])
        now = [text(take) for take in found]
        assert len(now) >= len(earlier)
        for before, after in zip(earlier, now, strict=False):
            # A target that a longer fragment exceeds is the one thing that may change.
            one, two = before.splitlines(keepends=True), after.splitlines(keepends=True)
            hls_rules.grew("".join(one[:2] + one[3:]), "".join(two[:2] + two[3:]))
            hls_rules.media(after)
        earlier = now
    current: list[Fragment] = []
    for each in history:
        current[each.index :] = [each]
    newest = takes(history)[-1]
    assert [each.fragment for each in newest.segments] == current
    assert all(take.frames >= newest.frames for take in takes(history))


def test_the_target_is_twice_the_first_fragment_and_stays() -> None:
    lengths = [9, *[12] * 6, 1]
    announced = some(*((number, "a", frames) for number, frames in enumerate(lengths)))
    targets = {playlists.target_s(takes(announced[:count])[-1], Fraction(16)) for count in range(1, len(lengths) + 1)}
    assert targets == {2}
    assert playlists.target_s(takes(some((0, "a", 16)))[-1], Fraction(8)) == 4


def test_the_multivariant_playlist_says_what_a_player_needs() -> None:
    (take,) = takes(some((0, "a", 5), (1, "b", 4)))
    made = playlists.multivariant(
        take, 0, token=TOKEN, rate=Fraction(30000, 1001), codecs="avc1.64001F", width=1280, height=720
    )
    found, uri = hls_rules.multivariant(made)
    assert uri == f"live/0/video.m3u8?token={TOKEN}"
    assert (found["CODECS"], found["RESOLUTION"], found["FRAME-RATE"]) == ('"avc1.64001F"', "1280x720", "29.970")
    assert int(found["BANDWIDTH"]) == 239761  # 8000 bits a frame, rounded up
