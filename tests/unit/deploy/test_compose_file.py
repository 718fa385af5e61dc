"""deploy/compose.yaml: what docker compose would start."""

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.orchestrator.settings import Settings as Orchestrator
from services.providers.prompt.settings import Settings as PromptWriter
from services.providers.settings import Settings as Provider
from services.studio.settings import Settings as Studio

ROOT = Path(__file__).resolve().parents[3]
COMPOSE = yaml.safe_load((ROOT / "deploy/compose.yaml").read_text())
SERVICES: Mapping[str, Any] = COMPOSE["services"]
OURS = sorted(name for name, service in SERVICES.items() if service["image"].startswith("i2v/"))
READ = {
    "api": Orchestrator.from_environment,
    "worker": Orchestrator.from_environment,
    "webhooks": Orchestrator.from_environment,
    "prompt-writer": PromptWriter.from_environment,
    "studio": Studio.from_environment,
    "provider-wavespeed": lambda given: Provider.from_environment("wavespeed", given),
    "provider-fal": lambda given: Provider.from_environment("fal", given),
}


def environment(name: str, secrets: Path) -> dict[str, str]:
    """The environment of a service: with the image's, and secrets in a folder of the test."""
    given = {**image_environment(name), **SERVICES[name].get("environment", {})}

    def value(match: re.Match[str]) -> str:
        return match[2] or ""

    filled = {key: re.sub(r"\$\{(\w+)(?::[-?]([^}]*))?\}", value, text) for key, text in given.items()}
    return {key: text.replace("/run/secrets", str(secrets)) for key, text in filled.items()}


def image_environment(name: str) -> dict[str, str]:
    """What the image of a service sets, of our variables."""
    target = SERVICES[name]["build"]["target"]
    stages = re.split(r"^FROM ", (ROOT / "deploy/docker/Dockerfile").read_text(), flags=re.MULTILINE)
    stage = next(each for each in stages if re.match(rf"\S+ AS {target}\n", each))
    return dict(re.findall(r"(I2V_\w+)=(\S+)", stage))


@pytest.mark.parametrize("name", sorted(READ))
def test_every_process_accepts_its_settings(name: str, tmp_path: Path) -> None:
    for secret in COMPOSE["secrets"]:
        (tmp_path / secret).write_text("postgresql://a-secret")
    settings = READ[name](environment(name, tmp_path))
    assert settings.listen.startswith("0.0.0.0:")


def test_the_script_makes_every_secret_once(tmp_path: Path) -> None:
    (tmp_path / "make-secrets").write_text((ROOT / "deploy/make-secrets").read_text())
    made = []
    for _ in range(2):
        subprocess.run(["sh", tmp_path / "make-secrets"], check=True)
        made.append({file.name: file.read_text().strip() for file in (tmp_path / "secrets").iterdir()})
    first, second = made
    assert first == second
    assert set(first) == set(COMPOSE["secrets"])
    assert first["database-url"] == f"postgresql://i2v:{first['postgres-password']}@postgres:5432/i2v"
    random = [text for name, text in first.items() if name not in ("wavespeed-key", "fal-key")]
    assert len(set(random)) == len(random) and min(map(len, random)) >= 20


def test_each_secret_is_a_file_that_git_does_not_keep() -> None:
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    assert "/deploy/secrets/" in ignored
    assert all(secret["file"].startswith("secrets/") for secret in COMPOSE["secrets"].values())


@pytest.mark.parametrize("name", OURS)
def test_our_processes_may_do_little(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"]
    assert service["user"] == "10001:10001"
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]


@pytest.mark.parametrize("name", sorted(set(SERVICES) - set(OURS)))
def test_images_of_others_are_pinned_by_digest(name: str) -> None:
    assert re.fullmatch(r"\S+:\S+@sha256:[0-9a-f]{64}", SERVICES[name]["image"])


def test_ports_are_open_on_the_loopback_address_alone() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert published == {"api": ["127.0.0.1:50051:50051"], "studio": ["127.0.0.1:50080:50080"]}


def test_only_processes_that_call_others_have_a_way_outside() -> None:
    assert COMPOSE["networks"]["inside"]["internal"]
    outside = {name for name, service in SERVICES.items() if "outside" in service.get("networks", ())}
    assert outside == {"api", "studio", "webhooks", "prompt-writer", "provider-wavespeed", "provider-fal"}


def test_what_is_built_is_a_target_of_the_dockerfile() -> None:
    targets = re.findall(r"^FROM \S+ AS (\S+)$", (ROOT / "deploy/docker/Dockerfile").read_text(), re.MULTILINE)
    assert {SERVICES[name]["build"]["target"] for name in OURS} <= set(targets)
