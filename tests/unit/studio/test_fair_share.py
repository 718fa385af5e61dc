"""No owner takes all of something, and what was taken comes back."""

from services.studio.fair_share import FairShare


def test_one_owner_gets_a_part_and_the_next_one_still_some() -> None:
    share = FairShare(100)
    assert share.take("a", 50)
    assert not share.take("a", 1)
    share.give("a", 1)
    assert share.take("b", 25)
    assert not share.take("a", 1), "what others need is no longer for the first one"
    share.give("a", 1)
    assert share.take("c", 12)


def test_an_owner_that_is_alone_gets_a_multiple_of_the_rest() -> None:
    share = FairShare(100, times=4)
    assert all(share.take("a", 1) for _ in range(80))
    assert not share.take("a", 1)


def test_what_is_given_back_can_be_taken_again() -> None:
    share = FairShare(100)
    for _ in range(10):
        assert share.take("a", 50)
        share.give("a", 50)
    assert share.take("b", 50)
