"""The certificate that signs: the operators' from files, else a development one; one that cannot is refused."""

from pathlib import Path

import pytest
from cryptography.x509 import load_pem_x509_certificates
from prometheus_client import CollectorRegistry

from services.certificates.metrics import CertificateMetrics
from services.orchestrator.certificate_files import open_credentials
from services.orchestrator.domain.content_credentials import Signer
from services.orchestrator.media.signing_certificate import development
from services.orchestrator.settings import Settings
from services.settings import BadSetting
from tests.support.admission_ports import MemorySecrets
from tests.support.signed_files import a_signed_video
from tests.unit.orchestrator.test_signing_certificate import key_of

GIVEN = development(b"given".ljust(32))
UNSEEN = CertificateMetrics(CollectorRegistry())


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """The settings of an operators' certificate."""
    key, chain = tmp_path / "key.pem", tmp_path / "chain.pem"
    key.write_bytes(key_of(GIVEN))
    chain.write_text(GIVEN.pem())
    return {"c2pa_key_file": str(key), "c2pa_certificate_file": str(chain)}


async def test_without_files_a_development_certificate_signs(tmp_path: Path) -> None:
    credentials = await open_credentials(Settings(), MemorySecrets(), UNSEEN)
    assert credentials.identity.development
    assert credentials.read(a_signed_video(credentials, tmp_path / "video.mp4")).signer is Signer.DEVELOPMENT


async def test_the_operators_certificate_signs_and_what_was_signed_before_stays_our_own(
    tmp_path: Path, files: dict[str, str]
) -> None:
    before = await open_credentials(Settings(), MemorySecrets(), UNSEEN)
    now = await open_credentials(Settings(**files), MemorySecrets(), UNSEEN)
    old, new = (a_signed_video(each, tmp_path / f"{number}.mp4") for number, each in enumerate((before, now)))
    assert (now.read(new).signer, now.read(old).signer) == (Signer.OWN, Signer.DEVELOPMENT)
    assert before.read(new).signer is Signer.STRANGER
    earlier = await open_credentials(
        Settings(c2pa_earlier_file=files["c2pa_certificate_file"]), MemorySecrets(), UNSEEN
    )
    assert earlier.read(new).signer is Signer.OWN


async def test_a_certificate_that_cannot_be_used_is_refused_at_the_start(tmp_path: Path, files: dict[str, str]) -> None:
    (tmp_path / "other.pem").write_text(development(b"other".ljust(32)).pem())
    for changed, why in (
        ({"c2pa_certificate_file": str(tmp_path / "other.pem")}, "not that of the key"),
        ({"c2pa_key_file": str(tmp_path / "missing.pem")}, "No such file"),
        ({"c2pa_earlier_file": files["c2pa_key_file"]}, "no certificates"),
    ):
        with pytest.raises(BadSetting, match=why):
            await open_credentials(Settings(**files | changed), MemorySecrets(), UNSEEN)


async def test_when_the_certificate_ends_is_a_metric(files: dict[str, str]) -> None:
    registry = CollectorRegistry()
    await open_credentials(Settings(), MemorySecrets(), CertificateMetrics(registry))
    assert registry.get_sample_value("i2v_certificate_expiry_timestamp_seconds", {"certificate": "c2pa"}) is None
    registry = CollectorRegistry()
    await open_credentials(Settings(**files), MemorySecrets(), CertificateMetrics(registry))
    end = min(each.not_valid_after_utc for each in load_pem_x509_certificates(GIVEN.pem().encode()))
    found = registry.get_sample_value("i2v_certificate_expiry_timestamp_seconds", {"certificate": "c2pa"})
    assert found == end.timestamp()
