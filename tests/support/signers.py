"""Signers of files with development certificates."""

from services.orchestrator.media.content_credentials import ContentCredentials
from services.orchestrator.media.signing_certificate import development


def a_signer(secret: bytes = b"a" * 32) -> ContentCredentials:
    """Returns an installation's signer; another secret makes that of another installation."""
    return ContentCredentials(development(secret), "0.1.0")
