"""The keys of a card's table in `models.toml`, with a check for each, so that mistakes are found at the start."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from services.orchestrator.domain.spec import FAST, KINDS, QUALITY, ImageToVideo, TextToVideo

TIMEOUT_MIN_MS = 1_000
TIMEOUT_MAX_MS = 24 * 3600 * 1000
SIDE_MIN, SIDE_MAX = 16, 4096
LENGTH_MAX_S = 3600
INT32_MAX, INT64_MAX = 2**31 - 1, 2**63 - 1
"""What the proto's fields hold."""


@dataclass(frozen=True, slots=True)
class _Key:
    """What a key of a card must be."""

    holds: Callable[[Any], bool]
    what: str
    """The same in words."""
    needed: bool = True


def _whole(least: int, most: int, *, needed: bool = True) -> _Key:
    what = f"a whole number from {least} to {most}"
    return _Key(lambda value: type(value) is int and least <= value <= most, what, needed)


def _text(*, needed: bool = True) -> _Key:
    return _Key(lambda value: isinstance(value, str) and value.strip() != "", "a text that is not empty", needed)


def _some(holds: Callable[[Any], bool], what: str, *, needed: bool = True) -> _Key:
    def all_hold(value: Any) -> bool:
        return isinstance(value, list) and value != [] and all(map(holds, value)) and len(set(value)) == len(value)

    return _Key(all_hold, f"a list of {what}, at least one and none twice", needed)


def _one_of(*words: str) -> tuple[Callable[[Any], bool], str]:
    return lambda value: isinstance(value, str) and value in words, " or ".join(map(repr, words))


def _is_size(value: Any) -> bool:
    sides = re.fullmatch(r"([1-9][0-9]{0,4})x([1-9][0-9]{0,4})", value) if isinstance(value, str) else None
    return sides is not None and all(
        SIDE_MIN <= int(side) <= SIDE_MAX and int(side) % 2 == 0 for side in sides.groups()
    )


def _is_length(value: Any) -> bool:
    return type(value) in (int, float) and 0 < value <= LENGTH_MAX_S and round(value, 3) == value


def _are_lengths_by_operation(value: Any) -> bool:
    return isinstance(value, dict) and all(kind in OPERATIONS and LENGTHS.holds(each) for kind, each in value.items())


def _is_word(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch(r"[a-z0-9][a-z0-9.-]{0,62}", value) is not None


def _is_media_type(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch(r"audio/[a-z0-9.+-]{1,40}", value) is not None


def _date(*, needed: bool = True) -> _Key:
    return _Key(lambda value: isinstance(value, date) and not isinstance(value, datetime), "a date", needed)


def _span(what: str, kinds: tuple[type, ...]) -> _Key:
    def holds(value: Any) -> bool:
        return (
            isinstance(value, list)
            and len(value) == 2
            and all(type(each) in kinds and 0 <= each <= INT32_MAX for each in value)
            and bool(value[0] <= value[1])
        )

    return _Key(holds, f"[least, most] in {what}", needed=False)


def _are_prices(value: Any) -> bool:
    micros = INT64_MAX // (1000 * LENGTH_MAX_S)
    return (
        isinstance(value, dict)
        and value != {}
        and all(
            _is_word(resolution)
            and isinstance(tariff, dict)
            and tariff != {}
            and set(tariff) <= {"per_second_micros", "per_run_micros"}
            and all(type(each) is int and 0 <= each <= micros for each in tariff.values())
            for resolution, tariff in value.items()
        )
    )


OPERATIONS = (ImageToVideo.kind, TextToVideo.kind)
"""Operations that a model of our own can have."""
LENGTHS = _some(_is_length, f"seconds up to {LENGTH_MAX_S}, in whole milliseconds")
KEYS: Mapping[str, _Key] = {
    "display_name": _text(),
    "description": _text(),
    "backend": _text(),
    "operations": _some(*_one_of(*OPERATIONS)),
    "sizes": _some(_is_size, f"'WIDTHxHEIGHT' with even sides from {SIDE_MIN} to {SIDE_MAX}"),
    "durations_s": LENGTHS,
    "durations_s_by_operation": _Key(
        _are_lengths_by_operation, f"a table with, for an operation of the card, {LENGTHS.what}", needed=False
    ),
    "fps": _whole(1, 120),
    "extra_frames": _whole(0, 100, needed=False),
    "prompt_max_characters": _whole(1, INT32_MAX),
    "prompt_max_bytes": _whole(1, INT32_MAX, needed=False),
    "price_per_second_micros": _whole(0, INT64_MAX // (1000 * LENGTH_MAX_S)),  # the quote is an int64 too
    "default_timeout_s": _whole(TIMEOUT_MIN_MS // 1000, TIMEOUT_MAX_MS // 1000),
    "qualities": _some(*_one_of(QUALITY, FAST), needed=False),
    "profile": _text(needed=False),
    "steps": _whole(1, INT32_MAX, needed=False),
    "precision": _text(needed=False),
    "memory_bytes": _whole(1, INT64_MAX, needed=False),
    "experimental": _Key(lambda value: isinstance(value, bool), "true or false", needed=False),
}
"""Every key of a card. A card that passes these checks fits into the API's messages."""


OF_OUR_OWN = ("sizes", "durations_s", "fps", "price_per_second_micros")
"""What only a card without `remote` must have; a remote one has `durations_s` alone, unless the audio decides."""
REMOTE_KEYS: Mapping[str, _Key] = {
    "model": _Key(_is_word, "the name that the provider knows"),
    "capability": _Key(_is_word, "a word such as 'wan-2.5'"),
    "prices": _Key(_are_prices, "a table with per_second_micros or per_run_micros for each resolution, or for 'any'"),
    "price_as_of": _date(),
    "resolutions": _some(_is_word, "words such as '720p'", needed=False),
    "takes": _some(
        *_one_of("audio", "mask", "negative-prompt", "prompt-expansion", "guidance-scale", "seed"), needed=False
    ),
    "prompt_optional": _Key(lambda value: isinstance(value, bool), "true or false", needed=False),
    "prompt_min_characters": _whole(1, INT32_MAX, needed=False),
    "written_prompt_max_characters": _whole(15, 2500, needed=False),
    "negative_prompt_max_characters": _whole(1, INT32_MAX, needed=False),
    "seed_max": _whole(0, INT64_MAX, needed=False),
    "picture_max_bytes": _whole(1, INT64_MAX, needed=False),
    "picture_side_px": _span("pixels", (int,)),
    "picture_aspect_max": _Key(lambda value: type(value) in (int, float) and 1 <= value <= 100, "1 to 100", False),
    "audio_s": _span("seconds", (int, float)),
    "audio_max_bytes": _whole(1, INT64_MAX, needed=False),
    "audio_types": _some(_is_media_type, "media types of sound", needed=False),
    "billed_s": _span("whole seconds", (int,)),
    "timeout_per_second_s": _whole(0, 600, needed=False),
    "deprecate_date": _date(needed=False),
    "retire_date": _date(needed=False),
    "successor": _text(needed=False),
}
"""Every key of a card's table `remote`, for a model of a vendor."""


def check_keys(model: str, table: Any) -> None:
    """Checks each key of a card, and of its table `remote`. Raises ValueError."""
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,128}", model):
        raise ValueError(f"the card {model!r} needs another name: 1 to 128 letters, digits, dots, dashes, underscores")
    if not isinstance(table, dict):
        raise ValueError(f"the card {model!r} is no table")
    if "remote" not in table:
        _check_table(f"the card {model!r}", table, KEYS, KEYS)
        return
    own = {name: value for name, value in table.items() if name != "remote"}
    keys = {name: key for name, key in KEYS.items() if name not in OF_OUR_OWN}
    keys |= {"durations_s": LENGTHS, "operations": _some(*_one_of(*KINDS))}
    _check_table(f"the card {model!r}", own, keys, [name for name in keys if name != "durations_s"])
    if not isinstance(table["remote"], dict):
        raise ValueError(f"the card {model!r} has `remote`, which is no table")
    _check_table(f"the table `remote` of the card {model!r}", table["remote"], REMOTE_KEYS, REMOTE_KEYS)


def _check_table(what: str, table: dict[str, Any], keys: Mapping[str, _Key], demanded: Iterable[str]) -> None:
    if unknown := sorted(set(table) - set(keys)):
        raise ValueError(f"{what} has the key {unknown[0]!r}; there are {', '.join(keys)}")
    for name, key in keys.items():
        if name not in table:
            if key.needed and name in demanded:
                raise ValueError(f"{what} lacks {name!r}; it is {key.what}")
        elif not key.holds(table[name]):
            raise ValueError(f"{what} has {name} = {str(table[name])[:100]!r}; it is {key.what}")
