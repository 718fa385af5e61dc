"""Addresses and limits of Tritons and providers, as settings list them: `name=value,name=value`."""

import re
from collections.abc import Callable

from services.orchestrator.domain.card import ENGINE
from services.orchestrator.ports.backend import Limits
from services.settings import BadSetting

VENDOR_SLOTS = 1000
"""Jobs of one provider that a worker runs at a time if no limit is set: they mostly wait."""
PROVIDER = re.compile(r"[a-z][a-z0-9-]{0,62}")
LIMITS = re.compile(r"([1-9][0-9]{0,4})/([1-9][0-9]{0,5})")


def is_address(text: str) -> bool:
    """Returns whether it is `host:port`, or `[host]:port` for an IPv6 address; a URL is not."""
    found = re.fullmatch(r"([^\s=,:/\[\]]+|\[[0-9A-Fa-f:.]+\]):([0-9]{1,5})", text)
    return found is not None and 1 <= int(found[2]) <= 65535


def tritons(addresses: str, slots: str) -> dict[str, tuple[tuple[str, ...], int]]:
    """Returns addresses and slots of the Triton servers, by the name of their backend. Raises BadSetting."""
    by_name = _of_tritons("I2V_TRITON", addresses, is_address, "host:port")
    slots_by_name = _of_tritons("I2V_TRITON_SLOTS", slots, re.compile(r"[0-9]{1,4}").fullmatch, "number")
    if twice := [name for name, found in slots_by_name.items() if len(found) > 1]:
        raise BadSetting(f"I2V_TRITON_SLOTS is {slots!r}; it has several numbers for {twice[0] or 'all'!r}")
    if not by_name:
        return {}
    if "" in by_name:
        by_name = {"triton": by_name[""]}
    if unknown := set(slots_by_name) - set(by_name) - {""}:
        raise BadSetting(f"I2V_TRITON_SLOTS names {min(unknown)!r}, which I2V_TRITON does not")
    [default] = slots_by_name.get("", ["1"])
    return {name: (tuple(found), int(slots_by_name.get(name, [default])[0])) for name, found in by_name.items()}


def providers(addresses: str, limits: str) -> dict[str, tuple[str, Limits]]:
    """Returns address and limits of each provider, by the name of its backend. Raises BadSetting."""
    by_name = _of_providers("I2V_PROVIDERS", addresses, is_address, "host:port")
    limits_by_name = _of_providers("I2V_PROVIDER_LIMITS", limits, LIMITS.fullmatch, "3/5")
    if unknown := set(limits_by_name) - set(by_name):
        raise BadSetting(f"I2V_PROVIDER_LIMITS names {min(unknown)!r}, which I2V_PROVIDERS does not")
    return {name: (address, _limits(limits_by_name.get(name, ""))) for name, address in by_name.items()}


def _limits(text: str) -> Limits:
    found = LIMITS.fullmatch(text)
    return Limits(int(found[1]), int(found[1]), int(found[2])) if found else Limits(VENDOR_SLOTS)


def _of_providers(variable: str, text: str, valid: Callable[[str], object], example: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in filter(None, text.split(",")):
        name, _, value = part.strip().partition("=")
        if not PROVIDER.fullmatch(name) or ENGINE.fullmatch(name) or name in found or not valid(value):
            raise BadSetting(f"{variable} is {text!r}; it is `name={example},name={example}`, each name once")
        found[name] = value
    return found


def _of_tritons(variable: str, text: str, valid: Callable[[str], object], example: str) -> dict[str, list[str]]:
    """Reads `value,value`, which come under the empty name, or `name=value,name=value`, where names may repeat."""
    wrong = f"{variable} is {text!r}; it is `{example}`, or `triton-…={example},triton-…={example}`"
    found: dict[str, list[str]] = {}
    for part in filter(None, text.split(",")):
        name, named, value = part.strip().rpartition("=")
        if not valid(value) or (named and not ENGINE.fullmatch(name)):
            raise BadSetting(wrong)
        if value in found.setdefault(name, []):
            raise BadSetting(f"{wrong}; {value!r} comes twice")
        found[name].append(value)
    if "" in found and len(found) > 1:
        raise BadSetting(wrong)
    return found
