"""A certificate and its key in files, which are replaced while the process runs."""

import logging
import ssl
from dataclasses import dataclass, field
from pathlib import Path

log = logging.getLogger(__name__)

Pair = tuple[bytes, bytes]
"""The key and the certificate chain, PEM."""


@dataclass(slots=True)
class RotatingCertificate:
    """Two PEM files. A pair that cannot be used is logged once, and the one before it stays."""

    cert_file: Path
    key_file: Path
    _read: tuple[tuple[int, int, int], ...] = field(default=(), init=False)
    """What the files were when they were read last."""

    @classmethod
    def of(cls, cert_file: str, key_file: str) -> "RotatingCertificate | None":
        """Returns the files that two settings name; None where they are empty."""
        return cls(Path(cert_file), Path(key_file)) if cert_file else None

    def pair(self) -> Pair:
        """Reads the files. Raises OSError."""
        self._read = self._state()
        return self.key_file.read_bytes(), self.cert_file.read_bytes()

    def replaced(self) -> Pair | None:
        """Returns the new pair if the files were replaced since the last call, and it can be used."""
        try:
            if self._state() == self._read:
                return None
            pair = self.pair()
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(self.cert_file, self.key_file)
        except OSError as error:  # of files that are being replaced, too
            log.warning("a new certificate cannot be used", extra={"file": str(self.cert_file), "why": str(error)})
            return None
        log.info("a new certificate is used", extra={"file": str(self.cert_file)})
        return pair

    def _state(self) -> tuple[tuple[int, int, int], ...]:
        found = (file.stat() for file in (self.cert_file, self.key_file))
        return tuple((each.st_mtime_ns, each.st_ino, each.st_size) for each in found)
