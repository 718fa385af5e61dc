"""The keys of a card's table in `models.toml`, with a check for each, so that mistakes are found early."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from services.orchestrator.domain.spec import FAST, KINDS, QUALITY, ImageToVideo, TextToVideo
from services.orchestrator.domain.table_keys import Key, check_table, day, one_of, some, text, whole
from services.orchestrator.domain.toml_file import Place, Problem

TIMEOUT_MIN_MS = 1_000
TIMEOUT_MAX_MS = 24 * 3600 * 1000
SIDE_MIN, SIDE_MAX = 16, 4096
LENGTH_MAX_S = 3600
INT32_MAX, INT64_MAX = 2**31 - 1, 2**63 - 1
"""What the proto's fields hold."""


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


def _span(what: str, kinds: tuple[type, ...]) -> Key:
    def holds(value: Any) -> bool:
        return (
            isinstance(value, list)
            and len(value) == 2
            and all(type(each) in kinds and 0 <= each <= INT32_MAX for each in value)
            and bool(value[0] <= value[1])
        )

    return Key(holds, f"[least, most] in {what}", needed=False)


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
LENGTHS = some(_is_length, f"seconds up to {LENGTH_MAX_S}, in whole milliseconds")
KEYS: Mapping[str, Key] = {
    "display_name": text(),
    "description": text(),
    "backend": text(),
    "operations": some(*one_of(*OPERATIONS)),
    "sizes": some(_is_size, f"'WIDTHxHEIGHT' with even sides from {SIDE_MIN} to {SIDE_MAX}"),
    "durations_s": LENGTHS,
    "durations_s_by_operation": Key(
        _are_lengths_by_operation, f"a table with, for an operation of the card, {LENGTHS.what}", needed=False
    ),
    "fps": whole(1, 120),
    "extra_frames": whole(0, 100, needed=False),
    "prompt_max_characters": whole(1, INT32_MAX),
    "prompt_max_bytes": whole(1, INT32_MAX, needed=False),
    "price_per_second_micros": whole(0, INT64_MAX // (1000 * LENGTH_MAX_S)),  # the quote is an int64 too
    "default_timeout_s": whole(TIMEOUT_MIN_MS // 1000, TIMEOUT_MAX_MS // 1000),
    "qualities": some(*one_of(QUALITY, FAST), needed=False),
    "profile": text(needed=False),
    "steps": whole(1, INT32_MAX, needed=False),
    "precision": text(needed=False),
    "memory_bytes": whole(1, INT64_MAX, needed=False),
    "experimental": Key(lambda value: isinstance(value, bool), "true or false", needed=False),
}
"""Every key of a card. A card that passes these checks fits into the API's messages."""


OF_OUR_OWN = ("sizes", "durations_s", "fps", "price_per_second_micros")
"""What only a card without `remote` must have; a remote one has `durations_s` alone, unless the audio decides."""
REMOTE_KEYS: Mapping[str, Key] = {
    "model": Key(_is_word, "the name that the provider knows"),
    "capability": Key(_is_word, "a word such as 'wan-2.5'"),
    "prices": Key(_are_prices, "a table with per_second_micros or per_run_micros for each resolution, or for 'any'"),
    "price_as_of": day(),
    "resolutions": some(_is_word, "words such as '720p'", needed=False),
    "takes": some(
        *one_of("audio", "mask", "negative-prompt", "prompt-expansion", "guidance-scale", "seed"), needed=False
    ),
    "prompt_optional": Key(lambda value: isinstance(value, bool), "true or false", needed=False),
    "prompt_min_characters": whole(1, INT32_MAX, needed=False),
    "written_prompt_max_characters": whole(15, 2500, needed=False),
    "negative_prompt_max_characters": whole(1, INT32_MAX, needed=False),
    "seed_max": whole(0, INT64_MAX, needed=False),
    "picture_max_bytes": whole(1, INT64_MAX, needed=False),
    "picture_side_px": _span("pixels", (int,)),
    "picture_aspect_max": Key(lambda value: type(value) in (int, float) and 1 <= value <= 100, "1 to 100", False),
    "audio_s": _span("seconds", (int, float)),
    "audio_max_bytes": whole(1, INT64_MAX, needed=False),
    "audio_types": some(_is_media_type, "media types of sound", needed=False),
    "billed_s": _span("whole seconds", (int,)),
    "timeout_per_second_s": whole(0, 600, needed=False),
    "deprecate_date": day(needed=False),
    "retire_date": day(needed=False),
    "successor": text(needed=False),
}
"""Every key of a card's table `remote`, for a model of a vendor."""


def check_keys(model: str, table: Any) -> Iterator[Problem]:
    """Yields what is wrong with the keys of a card, and of its table `remote`."""
    at: Place = ("models", model)
    card = f"the card {model!r}"
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,128}", model):
        yield Problem(at, f"{card} needs another name: 1 to 128 letters, digits, dots, dashes, underscores")
    elif not isinstance(table, dict):
        yield Problem(at, f"{card} is no table")
    elif "remote" not in table:
        yield from check_table(card, at, table, KEYS)
    else:
        own = {name: value for name, value in table.items() if name != "remote"}
        keys = {name: key for name, key in KEYS.items() if name not in OF_OUR_OWN}
        keys |= {"durations_s": LENGTHS, "operations": some(*one_of(*KINDS))}
        yield from check_table(card, at, own, keys, set(keys) - {"durations_s"})
        if not isinstance(table["remote"], dict):
            yield Problem((*at, "remote"), f"{card} has `remote`, which is no table")
        else:
            yield from check_table(f"the table `remote` of {card}", (*at, "remote"), table["remote"], REMOTE_KEYS)
