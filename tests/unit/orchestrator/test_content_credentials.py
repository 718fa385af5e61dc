"""Signed manifests: a true one is believed, and each lie is recognised."""

import hashlib
import io
import socket
from dataclasses import replace
from pathlib import Path

import av
import pytest
from PIL import Image

from services.orchestrator.domain.content_credentials import Credentials, Seal, Signer
from services.orchestrator.domain.verification import Verdict, Verification
from services.orchestrator.media.content_credentials import ContentCredentials
from services.orchestrator.media.credentials_reading import of_certificate
from services.orchestrator.media.signing_certificate import development
from services.orchestrator.ports.content_credentials import CannotSign
from tests.support.signed_files import (
    CLAIM,
    a_file_with_a_manifest_elsewhere,
    a_signed_video,
    a_video,
    manifest_box,
    signed_with_any_facts,
    with_giant_box,
    with_manifest_of,
)
from tests.support.signers import a_signer

OURS = development(b"a" * 32)


@pytest.fixture
def signer() -> ContentCredentials:
    return a_signer()


@pytest.fixture
def signed(signer: ContentCredentials, tmp_path: Path) -> Path:
    return a_signed_video(signer, tmp_path / "video.mp4")


def read(signer: ContentCredentials, data: bytes, folder: Path) -> Credentials:
    path = folder / "given"
    path.write_bytes(data)
    return signer.read(path)


def verdict(found: Credentials) -> Verdict:
    return Verification("", found, None, False).verdict


def test_a_signed_video_says_that_a_model_made_it_and_how(signer: ContentCredentials, signed: Path) -> None:
    found = signer.read(signed)
    assert (found.seal, found.signer, found.generated, found.faults) == (Seal.INTACT, Signer.DEVELOPMENT, True, ())
    assert (found.facts, found.generator) == (CLAIM.facts, "i2v 0.1.0")
    assert "development" in found.signer_name
    assert verdict(found) is Verdict.GENUINE


def test_a_signed_video_plays_the_same_frames_and_begins_with_its_index(signed: Path, tmp_path: Path) -> None:
    def digests(path: Path) -> list[str]:
        with av.open(str(path)) as container:
            return [hashlib.sha256(frame.to_ndarray()).hexdigest() for frame in container.decode(video=0)]

    assert digests(signed) == digests(tmp_path / "video.mp4")
    data = signed.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


def test_a_certificate_that_is_not_for_development_is_our_own(signed: Path) -> None:
    ours = ContentCredentials(replace(OURS, development=False), "0.1.0")
    assert ours.read(signed).signer is Signer.OWN


def test_what_an_earlier_certificate_signed_stays_our_own(signed: Path) -> None:
    earlier = replace(OURS.identity, development=False)
    now = ContentCredentials(development(b"b" * 32), "0.1.0", own=[earlier], anchors=OURS.authorities_pem())
    assert now.read(signed).signer is Signer.OWN


def test_a_stranger_with_our_name_is_a_stranger(signer: ContentCredentials, tmp_path: Path) -> None:
    theirs = development(b"theirs".ljust(32))
    assert theirs.identity.name == OURS.identity.name
    found = signer.read(signed_with_any_facts(theirs, a_video(tmp_path / "video.mp4"), dict(CLAIM.facts)))
    assert (found.seal, found.signer, found.facts) == (Seal.INTACT, Signer.STRANGER, CLAIM.facts)
    assert verdict(found) is Verdict.FOREIGN


@pytest.mark.parametrize("part", [b"mdat", b"avcC", b"stts"])
def test_one_altered_byte_of_the_video_is_found(
    signer: ContentCredentials, signed: Path, tmp_path: Path, part: bytes
) -> None:
    data = bytearray(signed.read_bytes())
    data[data.index(part) + 12] ^= 1
    found = read(signer, bytes(data), tmp_path)
    assert (found.seal, found.signer) == (Seal.ALTERED, Signer.DEVELOPMENT)
    assert "assertion.bmffHash.mismatch" in found.faults


def test_altered_facts_are_found(signer: ContentCredentials, signed: Path, tmp_path: Path) -> None:
    found = read(signer, signed.read_bytes().replace(b"nano", b"real"), tmp_path)
    assert (found.seal, found.facts["model"], verdict(found)) == (Seal.ALTERED, "real", Verdict.ALTERED)


def test_an_altered_signature_is_nobodys(signer: ContentCredentials, signed: Path, tmp_path: Path) -> None:
    data = signed.read_bytes()
    leaf = OURS.chain[0].signature
    assert data.count(leaf) == 1
    found = read(signer, data.replace(leaf, leaf[:-1] + bytes([leaf[-1] ^ 1])), tmp_path)
    assert (found.signer, verdict(found) is not Verdict.GENUINE) == (Signer.STRANGER, True)


def test_a_manifest_of_another_file_is_found(signer: ContentCredentials, signed: Path, tmp_path: Path) -> None:
    other = a_signed_video(signer, tmp_path / "other.mp4", seed=2)
    found = read(signer, with_manifest_of(signed.read_bytes(), other.read_bytes()), tmp_path)
    assert (found.seal, found.signer) == (Seal.ALTERED, Signer.DEVELOPMENT)


@pytest.mark.parametrize("size", [0, 1, 9, 1 << 20, (1 << 32) - 1])
def test_a_manifest_of_a_false_size_says_nothing_false(
    signer: ContentCredentials, signed: Path, tmp_path: Path, size: int
) -> None:
    found = read(signer, with_giant_box(signed.read_bytes(), size), tmp_path)
    # The library ends a box where the one around it ends, and everything in it is still checked.
    assert verdict(found) is not Verdict.GENUINE or found.facts == CLAIM.facts


def test_noise_in_place_of_the_manifest_is_never_genuine(
    signer: ContentCredentials, signed: Path, tmp_path: Path
) -> None:
    data = bytearray(signed.read_bytes())
    begin, end = manifest_box(bytes(data))
    data[begin + 60 : end] = bytes(number * 7 % 256 for number in range(end - begin - 60))
    assert verdict(read(signer, bytes(data), tmp_path)) in (Verdict.UNREADABLE, Verdict.ALTERED)


def test_a_giant_manifest_is_read_within_limits(signer: ContentCredentials, tmp_path: Path) -> None:
    facts = {"model": "x" * 900_000}
    theirs = signed_with_any_facts(development(b"theirs".ljust(32)), a_video(tmp_path / "video.mp4"), facts)
    found = signer.read(theirs)
    assert verdict(found) in (Verdict.FOREIGN, Verdict.UNREADABLE)
    assert found.facts == {}


@pytest.mark.parametrize("data", [b"", b"x", b"\0" * 4096, b"\x1a\x45\xdf\xa3" * 100, b"\0\0\0\x18ftypisom"])
def test_a_file_that_is_nothing_has_an_answer(signer: ContentCredentials, tmp_path: Path, data: bytes) -> None:
    assert verdict(read(signer, data, tmp_path)) in (Verdict.UNSIGNED, Verdict.UNREADABLE)


def test_a_file_cut_short_is_never_genuine(signer: ContentCredentials, signed: Path, tmp_path: Path) -> None:
    data = signed.read_bytes()
    for length in range(0, len(data) - 1, len(data) // 7):
        assert verdict(read(signer, data[:length], tmp_path)) is not Verdict.GENUINE


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP"])
def test_pictures_are_signed_too(signer: ContentCredentials, tmp_path: Path, form: str) -> None:
    made = io.BytesIO()
    Image.new("RGB", (32, 32), "red").save(made, form)
    path = tmp_path / "poster"
    path.write_bytes(made.getvalue())
    signed = signer.sign(path, f"image/{form.lower()}", CLAIM)
    assert verdict(signer.read(signed)) is Verdict.GENUINE
    Image.open(signed).load()


def test_a_webm_stays_unsigned_and_it_is_said_why(signer: ContentCredentials, tmp_path: Path) -> None:
    path = tmp_path / "video.webm"
    path.write_bytes(b"\x1a\x45\xdf\xa3")
    with pytest.raises(CannotSign, match="video/webm file has no place"):
        signer.sign(path, "video/webm", CLAIM)


def test_a_video_that_is_too_large_stays_unsigned_and_it_is_said_why(tmp_path: Path) -> None:
    video = a_video(tmp_path / "video.mp4")
    size = video.stat().st_size
    small = ContentCredentials(OURS, "0.1.0", most_bytes=size - 1)
    with pytest.raises(CannotSign, match=f"it is {size:,} bytes; at most {size - 1:,} are signed"):
        small.sign(video, "video/mp4", CLAIM)
    assert list(tmp_path.iterdir()) == [video]
    signed = ContentCredentials(OURS, "0.1.0", most_bytes=size).sign(video, "video/mp4", CLAIM)
    assert verdict(small.read(signed)) is Verdict.GENUINE


def test_a_video_without_its_manifest_is_unsigned(signer: ContentCredentials, signed: Path, tmp_path: Path) -> None:
    data = signed.read_bytes()
    begin, end = manifest_box(data)
    assert verdict(read(signer, data[:begin] + data[end:], tmp_path)) is Verdict.UNSIGNED


def test_a_manifest_elsewhere_is_never_fetched(signer: ContentCredentials, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        url = f"http://127.0.0.1:{server.getsockname()[1]}/manifest.c2pa"
        given = a_file_with_a_manifest_elsewhere(OURS, tmp_path / "picture.png", url)
        assert url.encode() in given.read_bytes()
        assert verdict(signer.read(given)) in (Verdict.UNSIGNED, Verdict.UNREADABLE)
        with pytest.raises(TimeoutError):
            server.accept()


def test_a_broken_video_stays_unsigned_and_leaves_no_file(signer: ContentCredentials, tmp_path: Path) -> None:
    path = tmp_path / "video.mp4"
    path.write_bytes(b"\0\0\0\x18ftypisom\0\0\0\0isomavc1\xff\xff\xff\xffmoov")
    with pytest.raises(CannotSign):
        signer.sign(path, "video/mp4", CLAIM)
    assert list(tmp_path.iterdir()) == [path]


def test_the_file_is_intact_when_only_its_certificate_is_at_fault() -> None:
    at_fault = ("signingCredential.untrusted", "signingCredential.expired", "claimSignature.outsideValidity")
    assert all(map(of_certificate, at_fault))
    assert not any(map(of_certificate, ("assertion.bmffHash.mismatch", "claimSignature.mismatch")))
