"""A self-signed certificate for a test."""

import shutil
import subprocess
from pathlib import Path

import pytest


def a_certificate(folder: Path, name: str = "localhost") -> tuple[Path, Path]:
    """Returns the files of a certificate for this host name, and of its key."""
    openssl = shutil.which("openssl") or pytest.skip("needs a certificate: install the openssl command")
    folder.mkdir(parents=True, exist_ok=True)
    cert, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        [
            *(openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
            *("-nodes", "-days", "2", "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"),
            *("-keyout", str(key), "-out", str(cert)),
        ],
        check=True,
        stderr=subprocess.DEVNULL,
    )
    return cert, key
