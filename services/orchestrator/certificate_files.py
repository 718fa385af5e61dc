"""Opens the certificate that signs manifests, and those that signed earlier ones."""

import asyncio
import logging
import tempfile
from importlib.metadata import version
from pathlib import Path

from services.certificates import pem
from services.certificates.certificate_files import CertificateMeter
from services.orchestrator.domain.content_credentials import Claim
from services.orchestrator.media import signing_certificate
from services.orchestrator.media.content_credentials import ContentCredentials
from services.orchestrator.media.signing_certificate import SigningCertificate, UnusableCertificate
from services.orchestrator.ports.content_credentials import CannotSign
from services.orchestrator.ports.service_secrets import ServiceSecrets
from services.orchestrator.settings import Settings
from services.settings import BadSetting

SECRET = "c2pa-development"
C2PA = "c2pa"
"""The name of the certificate that signs, in metrics."""
TINY_PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c49444154789c63606060000000"
    "040001f61738550000000049454e44ae426082"
)

log = logging.getLogger(__name__)


async def open_credentials(settings: Settings, secrets: ServiceSecrets, meter: CertificateMeter) -> ContentCredentials:
    """Returns what signs and checks manifests. Raises BadSetting, Unavailable."""
    made = signing_certificate.development(await secrets.secret(SECRET))
    given = await asyncio.to_thread(_given, settings)
    earlier = await asyncio.to_thread(_earlier, settings)
    try:
        own = [made.identity, *signing_certificate.identities(earlier)] if earlier else [made.identity]
    except UnusableCertificate as error:
        raise BadSetting(f"I2V_C2PA_EARLIER_FILE names a file that cannot be used: {error}") from error
    anchors = made.authorities_pem() + earlier.decode()
    credentials = ContentCredentials(given or made, version("i2v"), own=own, anchors=anchors)
    if given is None:
        log.warning(
            "videos are signed with a development certificate, which no one else trusts: set I2V_C2PA_KEY_FILE",
            extra={"certificate": made.identity.name},
        )
    else:
        await asyncio.to_thread(_try, credentials)
        await asyncio.to_thread(_report, settings, meter)
    return credentials


def _given(settings: Settings) -> SigningCertificate | None:
    if not settings.c2pa_key_file:
        return None
    try:
        key, chain = Path(settings.c2pa_key_file).read_bytes(), Path(settings.c2pa_certificate_file).read_bytes()
        return signing_certificate.from_pem(key, chain)
    except (OSError, UnusableCertificate) as error:
        raise BadSetting(f"I2V_C2PA_KEY_FILE and I2V_C2PA_CERTIFICATE_FILE cannot be used: {error}") from error


def _report(settings: Settings, meter: CertificateMeter) -> None:
    file = settings.c2pa_certificate_file
    meter.valid_until(C2PA, file, pem.first_end(Path(file).read_bytes()).timestamp())


def _earlier(settings: Settings) -> bytes:
    try:
        return Path(settings.c2pa_earlier_file).read_bytes() if settings.c2pa_earlier_file else b""
    except OSError as error:
        raise BadSetting(f"I2V_C2PA_EARLIER_FILE cannot be read: {error}") from error


def _try(credentials: ContentCredentials) -> None:
    """Signs a picture of one pixel: a certificate that C2PA does not allow is found at the start."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "one-pixel.png"
        path.write_bytes(TINY_PNG)
        try:
            credentials.sign(path, "image/png", Claim({}))
        except CannotSign as error:
            raise BadSetting(f"C2PA does not allow the certificate of I2V_C2PA_CERTIFICATE_FILE: {error}") from error
