"""From a card's table in a file to the card: what its keys mean together."""

from collections.abc import Iterable, Mapping
from typing import Any

from services.orchestrator.domain.card import ENGINE, EngineNeeds, ModelCard
from services.orchestrator.domain.card_keys import check_keys
from services.orchestrator.domain.remote import ANY, Remote, Tariff
from services.orchestrator.domain.spec import QUALITY, Size, TalkingAvatar, TextToVideo
from services.orchestrator.domain.toml_file import Problem, UnusableTables


def card_of(model: str, table: Any) -> ModelCard:
    """Returns the card. Raises UnusableTables on a malformed one: it names the card, the key and what it is."""
    if problems := list(check_keys(model, table)):
        raise UnusableTables(problems)
    if "remote" in table:
        return _remote_card(model, table)
    operations = tuple(table["operations"])
    durations = _milliseconds(table["durations_s"])
    by_operation = {kind: _milliseconds(each) for kind, each in table.get("durations_s_by_operation", {}).items()}
    if unknown := set(by_operation) - set(operations):
        what = f"has durations_s_by_operation for {min(unknown)!r}, which is none of its operations"
        raise _wrong(model, "durations_s_by_operation", what)
    fps, characters = table["fps"], table["prompt_max_characters"]
    for ms in (*durations, *(ms for each in by_operation.values() for ms in each)):
        if ms * fps % 1000:
            raise _wrong(model, "fps", f"has a length of {ms / 1000:g} s, which is no whole number of frames")
    return ModelCard(
        id=model,
        display_name=table["display_name"],
        description=table["description"],
        backend=table["backend"],
        operations=operations,
        sizes=tuple(Size(*(int(side) for side in text.split("x"))) for text in table["sizes"]),
        durations_ms=durations,
        fps=fps,
        extra_frames=table.get("extra_frames", 0),
        prompt_max_characters=characters,
        prompt_max_bytes=table.get("prompt_max_bytes", 4 * characters),
        price_per_second_micros=table["price_per_second_micros"],
        default_timeout_ms=table["default_timeout_s"] * 1000,
        qualities=tuple(table.get("qualities", (QUALITY,))),
        durations_ms_by_operation=by_operation,
        engine=_engine(model, table),
    )


def _remote_card(model: str, table: Mapping[str, Any]) -> ModelCard:
    operations, durations = tuple(table["operations"]), _milliseconds(table.get("durations_s", ()))
    if not durations and operations != (TalkingAvatar.kind,):
        raise _wrong(model, "operations", "lacks 'durations_s'; only a talking avatar is as long as its audio")
    if TextToVideo.kind in operations and len(operations) > 1:
        raise _wrong(model, "operations", "is remote: text-to-video is a model of its own")
    characters = table["prompt_max_characters"]
    return ModelCard(
        id=model,
        display_name=table["display_name"],
        description=table["description"],
        backend=table["backend"],
        operations=operations,
        sizes=(),
        durations_ms=durations,
        fps=0,
        extra_frames=0,
        prompt_max_characters=characters,
        prompt_max_bytes=table.get("prompt_max_bytes", 4 * characters),
        price_per_second_micros=0,
        default_timeout_ms=table["default_timeout_s"] * 1000,
        remote=_remote(model, table["remote"]),
    )


def _remote(model: str, table: Mapping[str, Any]) -> Remote:
    values: dict[str, Any] = dict(table)
    for name in ("resolutions", "audio_types", "picture_side_px", "audio_s", "billed_s"):
        if name in table:
            values[name] = tuple(table[name])
    values["takes"] = frozenset(table.get("takes", ()))
    values["prices"] = {name: Tariff(**tariff) for name, tariff in table["prices"].items()}
    remote = Remote(**values)
    if set(remote.prices) != set(remote.resolutions or (ANY,)):
        what = f"needs a price for each of its resolutions, or for {ANY!r}, and no other"
        raise _wrong(model, "remote", what, "prices")
    if ("audio" in remote.takes) != bool(remote.audio_types and remote.audio_max_bytes and remote.audio_s[1]):
        what = "takes audio, or says audio_types, audio_s and audio_max_bytes, not both"
        raise _wrong(model, "remote", what, "takes")
    if ("negative-prompt" in remote.takes) != bool(remote.negative_prompt_max_characters):
        what = "has 'negative-prompt' in takes, or negative_prompt_max_characters; they go together"
        raise _wrong(model, "remote", what, "takes")
    if remote.deprecate_date and remote.retire_date and remote.deprecate_date > remote.retire_date:
        raise _wrong(model, "remote", "is retired before it is deprecated", "retire_date")
    return remote


def _engine(model: str, table: Mapping[str, Any]) -> EngineNeeds | None:
    stated = {name: table[name] for name in EngineNeeds.__dataclass_fields__ if name in table}
    if not ENGINE.fullmatch(table["backend"]):
        if stated:
            raise _wrong(model, min(stated), f"states {min(stated)!r}, but its backend is no Triton of ours")
        return None
    return EngineNeeds(**({"profile": model} | stated))


def _wrong(model: str, key: str, what: str, *keys: str) -> UnusableTables:
    return UnusableTables([Problem(("models", model, key, *keys), f"the card {model!r} {what}")])


def _milliseconds(seconds: Iterable[float]) -> tuple[int, ...]:
    return tuple(round(each * 1000) for each in seconds)
