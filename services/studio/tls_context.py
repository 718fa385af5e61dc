"""TLS of the HTTP server: each new connection has the newest certificate and authorities."""

import ssl
from contextlib import suppress
from typing import Any, Self

from services.certificates.certificate_files import CertificateFiles


class RotatingContext(ssl.SSLContext):
    """Makes each connection by a context of the newest files, which are looked at when it begins."""

    def __new__(cls, files: CertificateFiles) -> Self:
        """Makes the context."""
        return super().__new__(cls, ssl.PROTOCOL_TLS_SERVER)

    def __init__(self, files: CertificateFiles) -> None:
        self._files = files
        self._used = files.current()
        self._context = _context(files)

    def wrap_bio(self, *arguments: Any, **named: Any) -> ssl.SSLObject:
        """Begins a connection."""
        if (found := self._files.current()) is not self._used:
            with suppress(OSError):  # of files that are replaced again at this moment: the next connection looks again
                self._context, self._used = _context(self._files), found
        return self._context.wrap_bio(*arguments, **named)


def server_context(files: CertificateFiles, *_: object) -> ssl.SSLContext:
    """Returns the context of the files, as uvicorn asks for it."""
    return RotatingContext(files)


def _context(files: CertificateFiles) -> ssl.SSLContext:
    """Returns a context. If there are authorities, a client needs a certificate of theirs. Raises OSError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.cert.path, files.key.path)
    if authorities := files.current().authorities:
        context.load_verify_locations(cadata=authorities.decode())
        context.verify_mode = ssl.CERT_REQUIRED
    return context
