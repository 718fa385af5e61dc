"""Signed files, and what liars make of them."""

import json
import struct
from pathlib import Path
from typing import Any

import c2pa
from PIL import Image

from services.orchestrator.domain.content_credentials import FACTS, Claim
from services.orchestrator.domain.spec import Size
from services.orchestrator.media.content_credentials import ContentCredentials
from services.orchestrator.media.credentials_signing import ALGORITHMS, definition
from services.orchestrator.media.signing_certificate import SigningCertificate
from services.orchestrator.media.video_writer import VideoWriter
from tests.support.builders import some_frames

CLAIM = Claim({"model": "nano", "seed": 7}, (("image", "ab" * 32),))
C2PA_BOX = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")
"""The type of the `uuid` box that holds a manifest."""


def a_video(path: Path, seed: int = 1, frames: int = 8) -> Path:
    """Makes a small video."""
    writer = VideoWriter(64, 64, 8)
    writer.add(some_frames(frames, Size(64, 64), seed))
    writer.finish(path)
    return path


def a_signed_video(signer: ContentCredentials, path: Path, seed: int = 1) -> Path:
    """Makes a small video and signs it."""
    return signer.sign(a_video(path, seed), "video/mp4", CLAIM)


def manifest_box(data: bytes) -> tuple[int, int]:
    """Returns where the box with the manifest begins and ends."""
    at = data.index(C2PA_BOX) - 8
    return at, at + int.from_bytes(data[at : at + 4], "big")


def with_manifest_of(data: bytes, other: bytes) -> bytes:
    """Returns a file with another file's manifest in place of its own, at the same place."""
    begin, end = manifest_box(data)
    theirs = slice(*manifest_box(other))
    assert end - begin == theirs.stop - theirs.start
    return data[:begin] + other[theirs] + data[end:]


def with_giant_box(data: bytes, size: int) -> bytes:
    """Returns a file whose manifest says that it is of `size` bytes."""
    begin, _ = manifest_box(data)
    inner = data.index(b"jumb", begin) - 4
    return data[:inner] + struct.pack(">I", size) + data[inner + 4 :]


def signed_with_any_facts(certificate: SigningCertificate, path: Path, facts: dict[str, Any]) -> Path:
    """Signs as anyone can who has C2PA's library and an own certificate."""
    signer = c2pa.Signer.from_callback(certificate.sign, ALGORITHMS[certificate.algorithm], certificate.pem(), None)
    made = json.dumps(definition(facts, [], "i2v", "0.1.0", FACTS))
    target = path.with_name(f"theirs-{path.name}")
    with path.open("rb") as source, target.open("w+b") as written:
        c2pa.Builder(made).sign(signer, "video/mp4", source, written)
    return target


def a_file_with_a_manifest_elsewhere(certificate: SigningCertificate, path: Path, url: str) -> Path:
    """Makes a picture that has no manifest, only the address of one."""
    Image.new("RGB", (32, 32), "red").save(path, "PNG")
    signer = c2pa.Signer.from_callback(certificate.sign, ALGORITHMS[certificate.algorithm], certificate.pem(), None)
    builder = c2pa.Builder(json.dumps(definition({}, [], "i2v", "0.1.0", FACTS)))
    builder.set_no_embed()
    builder.set_remote_url(url)
    target = path.with_name(f"elsewhere-{path.name}")
    with path.open("rb") as source, target.open("w+b") as written:
        builder.sign(signer, "image/png", source, written)
    return target
