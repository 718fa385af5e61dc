"""The vendors' part of the stack: a provider for each, the prompt writer, and for simulated ones the simulators."""

import os
import re
import secrets
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from tools.stack_process import HOST, StackProcess, free_port
from tools.start_wait import Say, on_stderr

KEYS = {"wavespeed": "WAVESPEED_API_KEY", "fal": "FAL_KEY"}
"""By vendor: the variable in which its customers keep their key."""
LIMITS = {"wavespeed": "3/5"}
"""Limits of a new account, in the form of I2V_PROVIDER_LIMITS, which is for larger ones: more is refused."""
LLM = "simulated-llm"
WAIT = ("--queue", "1", "--work", "3")
"""Seconds that a simulated task waits and works."""
A_VENDORS = re.compile(r"I2V_PROVIDER_([A-Z0-9]+)_[A-Z0-9_]+")
OURS = ("LISTEN", "METRICS_LISTEN", "ACCESS_KEY", "ACCESS_KEY_FILE", "DATA")
"""Settings of a provider that the stack decides."""
ORCHESTRATORS = (
    *("I2V_PROVIDER_KEY_FILE", "I2V_PROVIDER_CA_FILE"),
    *("I2V_PROMPT_WRITER", "I2V_PROMPT_MOST_MICROS"),
)


@dataclass
class VendorProcesses:
    """The started processes, and the orchestrator's settings for them."""

    simulated: bool
    programs: list[StackProcess] = field(default_factory=list)
    providers: dict[str, str] = field(default_factory=dict)
    """Address of each provider."""
    settings: dict[str, str] = field(default_factory=dict)
    """For the orchestrator."""
    say: Say = on_stderr
    """Is called with what a long start waits for."""


def keys() -> dict[str, str]:
    """Returns the vendors whose key is in the environment, each with its key, which is empty where a file has it."""
    found = {}
    for vendor, usual in KEYS.items():
        own = f"I2V_PROVIDER_{vendor.upper()}_KEY"
        if os.environ.get(f"{own}_FILE"):
            found[vendor] = ""
        elif key := os.environ.get(own) or os.environ.get(usual):
            found[vendor] = key
    return found


def without_keys() -> dict[str, str]:
    """Returns the environment without what is the providers' and the prompt writer's alone."""
    kept = {name: value for name, value in os.environ.items() if name not in KEYS.values()}
    return {name: value for name, value in kept.items() if name in ORCHESTRATORS or not _is_neighbours(name)}


def start(stack: ExitStack, data: Path, *, simulate: bool, say: Say = on_stderr) -> VendorProcesses:
    """Starts what remote models need: everything simulated, or a provider for each vendor whose key is there."""
    found, real = VendorProcesses(simulate, say=say), keys()
    names = list(KEYS) if simulate else list(real)
    if not names:
        return found
    secret = data / "provider-key"
    _keep_secret(secret)
    for name in names:
        settings = _simulator(stack, found, name, data) if simulate else _real(name, real[name])
        _provider(stack, found, name, data, {"ACCESS_KEY_FILE": str(secret), **settings})
    _writer(stack, found, data, secret, simulate=simulate)
    found.settings |= {
        "I2V_PROVIDERS": ",".join(f"{name}={address}" for name, address in found.providers.items()),
        "I2V_PROVIDER_KEY_FILE": str(secret),
    }
    if not simulate:
        found.settings["I2V_PROVIDER_LIMITS"] = limits(names)
    return found


def limits(names: Iterable[str]) -> str:
    """Returns the orchestrator's settings for the real vendors' accounts."""
    usual = ",".join(f"{name}={LIMITS[name]}" for name in names if name in LIMITS)
    return os.environ.get("I2V_PROVIDER_LIMITS", usual)


def _simulator(stack: ExitStack, found: VendorProcesses, name: str, data: Path) -> dict[str, str]:
    """Starts a vendor's simulator and returns what its provider needs to know of it."""
    port = free_port()
    simulator = StackProcess(
        f"{name}'s simulator",
        f"tools.simulators.{name}",
        *("--port", str(port), *WAIT),
        log=data / f"simulated-{name}.log",
        ports={f"{name}'s simulator's": port},
        environment=without_keys(),
        speaks_grpc=False,
        say=found.say,
    )
    found.programs.append(stack.enter_context(simulator))
    url = f"http://{simulator.address}"
    upload = {"UPLOAD_URL": url} if name == "fal" else {}
    return {
        "KEY": "a-key-that-opens-nothing",
        "URL": url,
        "SIMULATION": "true",
        "OUTPUT_HOSTS": simulator.address,
        **upload,
    }


def _real(name: str, key: str) -> dict[str, str]:
    """Returns the settings of a provider that are in the environment, with the key."""
    prefix = f"I2V_PROVIDER_{name.upper()}_"
    own = {each.removeprefix(prefix): value for each, value in os.environ.items() if each.startswith(prefix)}
    return {each: value for each, value in own.items() if each not in OURS} | ({"KEY": key} if key else {})


def _provider(stack: ExitStack, found: VendorProcesses, name: str, data: Path, settings: Mapping[str, str]) -> None:
    port, metrics = free_port(), free_port()
    prefix = f"I2V_PROVIDER_{name.upper()}_"
    own = {"LISTEN": f"{HOST}:{port}", "METRICS_LISTEN": f"{HOST}:{metrics}", "DATA": str(data / name), **settings}
    provider = StackProcess(
        f"{name}'s provider",
        "services.providers",
        name,
        log=data / f"{name}.log",
        ports={f"{name}'s provider's": port, "metrics": metrics},
        environment=without_keys() | {prefix + each: value for each, value in own.items()},
        say=found.say,
    )
    found.programs.append(stack.enter_context(provider))
    found.providers[name] = provider.address


def _writer(stack: ExitStack, found: VendorProcesses, data: Path, secret: Path, *, simulate: bool) -> None:
    """Starts the prompt writer. Without a language model in the environment it writes from templates."""
    port, metrics = free_port(), free_port()
    settings = {name: value for name, value in os.environ.items() if _is_the_writers(name)}
    settings.pop("I2V_PROMPT_ACCESS_KEY", None)
    if simulate:
        llm_port = free_port()
        llm = StackProcess(
            "the language model's simulator",
            "tools.simulators.llm",
            *("--port", str(llm_port)),
            log=data / "simulated-llm.log",
            ports={"language model's": llm_port},
            environment=without_keys(),
            speaks_grpc=False,
            say=found.say,
        )
        found.programs.append(stack.enter_context(llm))
        settings = {
            "I2V_PROMPT_LLM_URL": f"http://{llm.address}/v1",
            "I2V_PROMPT_LLM_MODEL": LLM,
            "I2V_PROMPT_INPUT_PRICE_MICROS": "0",
            "I2V_PROMPT_OUTPUT_PRICE_MICROS": "0",
        }
    settings |= {
        "I2V_PROMPT_LISTEN": f"{HOST}:{port}",
        "I2V_PROMPT_METRICS_LISTEN": f"{HOST}:{metrics}",
        "I2V_PROMPT_ACCESS_KEY_FILE": str(secret),
    }
    writer = StackProcess(
        "the prompt writer",
        "services.providers.prompt",
        log=data / "prompt-writer.log",
        ports={"prompt writer's": port, "metrics": metrics},
        environment=without_keys() | settings,
        say=found.say,
    )
    found.programs.append(stack.enter_context(writer))
    found.settings["I2V_PROMPT_WRITER"] = writer.address


def _is_the_writers(name: str) -> bool:
    return name.startswith("I2V_PROMPT_") and name not in ORCHESTRATORS


def _is_neighbours(name: str) -> bool:
    return _is_the_writers(name) or A_VENDORS.fullmatch(name) is not None


def _keep_secret(file: Path) -> None:
    """Makes what the orchestrator shows to providers, once for this folder."""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
            opened.write(secrets.token_urlsafe(32) + "\n")
