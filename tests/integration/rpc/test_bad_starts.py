"""Each process that cannot start says in one line why, is never ready, and ends with 1, so that its pod backs off."""

import os
import socket
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tools.made_certificates import a_certificate

PROGRAMS = {
    "I2V_": ("services.orchestrator", "api"),
    "I2V_PROVIDER_FAL_": ("services.providers", "fal"),
    "I2V_PROMPT_": ("services.providers.prompt",),
    "I2V_STUDIO_": ("services.studio",),
}
SECRET = {
    "I2V_": "DATABASE_URL_FILE",
    "I2V_PROVIDER_FAL_": "KEY_FILE",
    "I2V_PROMPT_": "ACCESS_KEY_FILE",
    "I2V_STUDIO_": "API_CA_FILE",
}
every_program = pytest.mark.parametrize("prefix", PROGRAMS)


def start(prefix: str, folder: Path, **settings: str) -> tuple[int, list[str]]:
    """Starts a process that must not start; returns its exit code and its lines."""
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": f"{Path.cwd()}:{Path.cwd() / 'gen'}",
        f"{prefix}LISTEN": "127.0.0.1:0",
        f"{prefix}METRICS_LISTEN": "127.0.0.1:0",
        f"{prefix}LOG_LEVEL": "WARNING",
    } | {f"{prefix}{name}": value for name, value in settings.items()}
    if prefix == "I2V_":
        environment |= {"I2V_DATA": str(folder / "data"), "I2V_TRITON": ""}
    if prefix == "I2V_PROVIDER_FAL_":
        environment |= {"I2V_PROVIDER_FAL_DATA": str(folder / "data")}
    command = [sys.executable, "-W", "ignore", "-m", *PROGRAMS[prefix]]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    return done.returncode, done.stderr.splitlines()


@every_program
def test_a_secret_that_is_missing_is_named(prefix: str, tmp_path: Path) -> None:
    code, lines = start(prefix, tmp_path, **{SECRET[prefix]: "/run/secrets/none"})
    assert code == 1 and len(lines) == 1
    assert f"{prefix}{SECRET[prefix]} names /run/secrets/none" in lines[0] and "No such file or directory" in lines[0]


@pytest.mark.parametrize("prefix", [each for each in PROGRAMS if each != "I2V_STUDIO_"])
def test_a_secret_that_is_empty_is_named(prefix: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("\n")
    code, lines = start(prefix, tmp_path, **{SECRET[prefix]: str(tmp_path / "secret")})
    assert code == 1 and len(lines) == 1
    assert f"{prefix}{SECRET[prefix]} names {tmp_path / 'secret'}, which is empty" in lines[0]


@every_program
def test_an_unknown_setting_is_named(prefix: str, tmp_path: Path) -> None:
    code, lines = start(prefix, tmp_path, NONSENSE="1")
    assert code == 1 and len(lines) == 1
    assert lines[0].endswith(f"there is no setting {prefix}NONSENSE")


@every_program
def test_an_expired_certificate_is_named_with_its_end(prefix: str, tmp_path: Path) -> None:
    end = datetime.now(UTC).replace(microsecond=0) - timedelta(days=1)
    cert, key = a_certificate(tmp_path, end=end)
    code, lines = start(prefix, tmp_path, TLS_CERT_FILE=str(cert), TLS_KEY_FILE=str(key))
    assert code == 1 and len(lines) == 1
    assert f"{prefix}TLS_CERT_FILE names {cert}, which expired at {end:%Y-%m-%dT%H:%M:%SZ}" in lines[0]


@every_program
def test_a_certificate_that_is_missing_or_of_another_key_is_named(prefix: str, tmp_path: Path) -> None:
    folders = tmp_path / "one", tmp_path / "two"
    (cert, _), (_, key) = (a_certificate(folder) for folder in folders)
    code, lines = start(prefix, tmp_path, TLS_CERT_FILE=str(cert), TLS_KEY_FILE=str(key))
    assert code == 1 and len(lines) == 1 and "which are no certificate and its key in PEM" in lines[0]
    code, lines = start(prefix, tmp_path, TLS_CERT_FILE="/run/secrets/none", TLS_KEY_FILE=str(key))
    assert code == 1 and len(lines) == 1
    assert f"{prefix}TLS_CERT_FILE names /run/secrets/none, which cannot be read" in lines[0]


@every_program
def test_authorities_of_clients_that_cannot_be_used_are_named(prefix: str, tmp_path: Path) -> None:
    cert, key = a_certificate(tmp_path)
    (tmp_path / "words").write_text("no certificate")
    files = {"TLS_CERT_FILE": str(cert), "TLS_KEY_FILE": str(key), "TLS_CLIENT_CA_FILE": str(tmp_path / "words")}
    code, lines = start(prefix, tmp_path, **files)
    assert code == 1 and len(lines) == 1
    assert f"{prefix}TLS_CLIENT_CA_FILE names {tmp_path / 'words'}, which holds no certificates in PEM" in lines[0]


@pytest.mark.parametrize(("prefix", "peer"), [("I2V_", "PROVIDER"), ("I2V_", "TRITON"), ("I2V_STUDIO_", "API")])
def test_a_certificate_to_show_that_has_expired_is_named(prefix: str, peer: str, tmp_path: Path) -> None:
    ca, _ = a_certificate(tmp_path / "ca")
    cert, key = a_certificate(tmp_path, end=datetime.now(UTC) - timedelta(days=1))
    files = {"CA_FILE": str(ca), "CERT_FILE": str(cert), "CERT_KEY_FILE": str(key)}
    code, lines = start(prefix, tmp_path, **{f"{peer}_{name}": file for name, file in files.items()})
    assert code == 1 and len(lines) == 1
    assert f"{prefix}{peer}_CERT_FILE names {cert}, which expired at" in lines[0]


@every_program
def test_a_health_port_in_use_is_named(prefix: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        code, lines = start(prefix, tmp_path, HEALTH_LISTEN=address)
    assert code == 1 and len(lines) == 1 and f"cannot listen on {address}" in lines[0]
