"""Every profile: that it can be made, that its card offers only what it can make, and the errors about invalid ones."""

from pathlib import Path

import pytest

from tools.export import profile_file as profiles
from tools.export.profile import BadProfile, Profile
from tools.export.profile_file import UnknownProfile, load, with_engine

ALL = profiles.known()

ISSUED = {
    "nano",
    "causal-forcing-1.3b",
    "causal-forcing-1.3b-1step",
    "causal-forcing-1.3b-2step",
    "causal-forcing-1.3b-long",
    "self-forcing-1.3b",
    "wan2.1-i2v-1.3b",
    "wan2.1-i2v-14b",
}


@pytest.fixture(params=ALL)
def profile(request: pytest.FixtureRequest) -> Profile:
    return load(request.param)


def durations(profile: Profile, operation: str) -> tuple[float, ...]:
    return profile.card.durations_s_by_operation.get(operation, profile.card.durations_s)


def test_the_profiles_are_those_that_are_documented() -> None:
    assert set(ALL) == ISSUED


def test_a_profile_is_named_after_its_file(profile: Profile) -> None:
    assert (profiles.PROFILES / f"{profile.name}.toml").is_file()


def test_every_length_of_a_card_is_a_whole_number_of_blocks_within_the_limit(profile: Profile) -> None:
    for operation in profile.card.operations:
        for seconds in durations(profile, operation):
            frames = profile.fps * seconds + 1
            assert frames == int(frames), (operation, seconds)
            latents, rest = divmod(int(frames) - 1, 4)
            assert rest == 0, (operation, seconds)
            assert 1 <= latents + 1 <= profile.max_latents, (operation, seconds)
            if profile.schedule is None:
                continue
            alone = operation == "image-to-video" or profile.schedule.independent_first_frame
            made = latents if alone else latents + 1
            assert made % profile.schedule.block_latents == 0, (operation, seconds)


def test_every_size_of_a_card_is_whole_in_tokens(profile: Profile) -> None:
    for size in profile.card.sizes:
        assert all(int(side) % 16 == 0 for side in size.split("x")), size


def test_schedules_are_those_of_the_published_models() -> None:
    causal = load("causal-forcing-1.3b").schedule
    assert causal is not None
    assert causal.warped(causal.timesteps) == pytest.approx([1000, 937.5, 833.33333, 625])
    two, one = (load(f"causal-forcing-1.3b-{name}").schedule for name in ("2step", "1step"))
    assert two is not None
    assert one is not None
    assert (two.timesteps, one.timesteps) == ((1000, 500), (1000,))
    assert two.first_timesteps == one.first_timesteps == (1000, 750, 500, 250)
    blocks = load("self-forcing-1.3b").schedule
    assert blocks is not None
    assert (blocks.block_latents, blocks.independent_first_frame, blocks.max_latents) == (3, False, 21)


def test_sizes_are_those_of_the_published_models() -> None:
    small, large, inp = (load(name) for name in ("causal-forcing-1.3b", "wan2.1-i2v-14b", "wan2.1-i2v-1.3b"))
    assert [each.transformer.heads * each.transformer.head_width for each in (small, large, inp)] == [1536, 5120, 1536]
    assert [each.transformer.layers for each in (small, large, inp)] == [30, 40, 30]
    assert [each.transformer.condition_channels for each in (small, large, inp)] == [0, 20, 20]
    assert [each.image_encoder is not None for each in (small, large, inp)] == [False, True, True]


def test_a_long_video_is_labelled_as_an_experiment() -> None:
    long = load("causal-forcing-1.3b-long")
    assert long.schedule is not None
    assert long.schedule.cache_latents == 21 < long.max_latents
    assert "experimental" in long.card.display_name
    assert long.card.description.startswith("EXPERIMENTAL")


def test_an_engine_is_changed_by_key_value_texts() -> None:
    changed = with_engine(load("nano"), ["text_device=gpu", "text_on_demand=true", "slots=3", "precision=fp16"]).engine
    assert (changed.text_device, changed.text_on_demand, changed.slots, changed.precision) == ("gpu", True, 3, "fp16")


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ("speed=9", "no 'speed'; it has device, precision"),
        ("precision=int8", "fp32 or fp16 or bf16"),
        ("text_on_demand=maybe", "true or false"),
        ("slots=-1", "a number"),
        ("slots", "a number"),
        ("slots=0", "from 1 to 256"),
        ("clips=0", "from 1 to 256"),
        ("threads=999999", "from 1 to 256"),
    ],
)
def test_an_invalid_change_is_refused_with_the_possible_ones(change: str, complaint: str) -> None:
    with pytest.raises(BadProfile, match=complaint):
        with_engine(load("nano"), [change])


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("name = ", "Invalid value"),
        ('base = "nano"\nspeed = 3', "no 'speed'"),
        ('base = "nano"\n[transformer]\nheadz = 3', "no 'headz'"),
        ('name = "x"\nfps = 1', "missing"),
        ('base = "nano"\npipeline = "bidirectional"', "lacks what its pipeline"),
        ('base = "nano"\npipeline = "sideways"', "lacks what its pipeline"),
        ('base = "nanu"', "no profile 'nanu'"),
        ('base = "nano"\n[engine]\nprecision = "fp8"', "fp32 or fp16 or bf16"),
        ('base = "nano"\n[engine]\nslots = "two"', "a number from 1"),
        ('base = "nano"\n[card]\nsizes = ["big"]', "sizes such as 832x480"),
        ('base = "nano"\n[schedule]\ntimesteps = []', "no timesteps"),
    ],
)
def test_a_bad_profile_says_what_is_wrong(tmp_path: Path, text: str, complaint: str) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(text)
    with pytest.raises((BadProfile, UnknownProfile), match=complaint):
        load(str(file))


def test_a_profile_based_on_itself_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(f'base = "{file}"\n')
    with pytest.raises(BadProfile, match="stands on itself"):
        load(str(file))


def test_a_users_profile_can_be_based_on_another(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('base = "nano"\nname = "mine"\n[schedule]\nshift = 8.0\n')
    mine = load(str(file))
    assert mine.schedule is not None
    assert (mine.name, mine.schedule.shift, mine.schedule.block_latents) == ("mine", 8.0, 2)
