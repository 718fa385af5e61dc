"""Reads profiles, `tools/profiles/<name>.toml`.

A profile with `base = "other"` has only the keys that differ from the other.
"""

import re
import tomllib
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from tools.export.profile import ROOT, BadProfile, Engine, Profile

PROFILES = ROOT / "tools" / "profiles"


class UnknownProfile(ValueError):
    """There is no profile of this name."""


Section = TypeVar("Section")


def known() -> list[str]:
    """The names of all profiles; a file whose name begins with _ is only a base of others."""
    return sorted(file.stem for file in PROFILES.glob("[!_]*.toml"))


def load(name: str) -> Profile:
    """Reads one profile: of `tools/profiles` by its name, or any file that ends in .toml.

    Raises:
        UnknownProfile: no such file.
        BadProfile: a key is missing, or one is there that means nothing.
    """
    try:
        profile = _parse(Profile, _raw(name))
    except RecursionError as error:
        raise BadProfile(f"the profile {name!r} stands on itself") from error
    except (TypeError, ValueError) as error:
        if isinstance(error, UnknownProfile):
            raise
        raise BadProfile(f"the profile {name!r} cannot be used: {error}") from error
    sizes = profile.card.sizes
    if not sizes or not all(re.fullmatch(r"[1-9]\d{1,3}x[1-9]\d{1,3}", str(size)) for size in sizes):
        raise BadProfile(f"the profile {name!r} needs sizes such as 832x480, not {sizes}")
    if profile.schedule is not None and not profile.schedule.timesteps:
        raise BadProfile(f"the profile {name!r} has no timesteps")
    wanted = {"causal": profile.schedule, "bidirectional": profile.sampler}
    if profile.pipeline not in wanted or wanted[profile.pipeline] is None:
        raise BadProfile(f"the profile {name!r} lacks what its pipeline, {profile.pipeline!r}, needs")
    return profile


def with_engine(profile: Profile, changes: Sequence[str]) -> Profile:
    """The profile with some of its engine changed, each as `key=value`.

    Raises:
        BadProfile: there is no such key, or the value cannot be one of it.
    """
    engine, kinds = profile.engine, get_type_hints(Engine)
    for change in changes:
        key, _, text = change.partition("=")
        if key not in kinds:
            raise BadProfile(f"an engine has no {key!r}; it has {', '.join(kinds)}")
        words: dict[str, Any] = {"true": True, "false": False}
        value = words.get(text, int(text) if text.isdecimal() else text)
        changed: dict[str, Any] = {key: value}
        engine = replace(engine, **changed)
    return replace(profile, engine=engine)


def _raw(name: str) -> dict[str, Any]:
    file = Path(name) if name.endswith(".toml") else PROFILES / f"{name}.toml"
    if not file.is_file():
        raise UnknownProfile(f"no profile {name!r}; there is {', '.join(known())}")
    raw = tomllib.loads(file.read_text())
    return _over(_raw(raw.pop("base")), raw) if "base" in raw else raw


def _over(base: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in change.items():
        both = isinstance(value, dict) and isinstance(base.get(key), dict)
        merged[key] = _over(base[key], value) if both else value
    return merged


def _parse(kind: type[Section], raw: dict[str, Any]) -> Section:
    """Builds a dataclass of ours from a table; lists become tuples."""
    types = get_type_hints(kind)
    sections = {each.name for each in fields(kind)}  # type: ignore[arg-type]
    made = {}
    for key, value in raw.items():
        if key not in sections:
            raise BadProfile(f"{kind.__name__} has no {key!r}")
        choices = [each for each in (types[key], *getattr(types[key], "__args__", ())) if isinstance(each, type)]
        section = next((each for each in choices if hasattr(each, "__dataclass_fields__")), None)
        made[key] = _parse(section, value) if section is not None and isinstance(value, dict) else _tuples(value)
    return kind(**made)


def _tuples(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _tuples(each) for key, each in value.items()}
    return tuple(value) if isinstance(value, list) else value
