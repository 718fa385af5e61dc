"""Whom to trust, and the certificate to show: PEM files, which are read again when they have changed."""

import logging
import os
import ssl
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

log = logging.getLogger(__name__)


class TlsMaterial(Protocol):
    """Contents of the files, PEM; empty where there is none."""

    @property
    def chain(self) -> bytes:
        """The certificate to show, with those between it and its authority."""

    @property
    def key(self) -> bytes:
        """Its private key."""

    @property
    def authorities(self) -> bytes:
        """Whom to trust; empty: those that gRPC comes with."""


class TlsSource(Protocol):
    """What has the newest contents."""

    def current(self) -> TlsMaterial:
        """Returns the contents, the same object while they have not changed."""


@dataclass(frozen=True, slots=True)
class _Material:
    chain: bytes
    key: bytes
    authorities: bytes


class TlsFiles:
    """Files of a client: authorities, and for mutual TLS a certificate and its key. Threads may share it."""

    def __init__(
        self, *, ca: Path | str | None = None, cert: Path | str | None = None, key: Path | str | None = None
    ) -> None:
        """Raises ValueError if only one of `cert` and `key` is given or a file is no PEM, OSError if it is missing."""
        if (cert is None) != (key is None):
            raise ValueError("a certificate and its key go together")
        self._ca, self._cert, self._key = (None if each is None else Path(each) for each in (ca, cert, key))
        self._lock = threading.Lock()
        self._seen = self._state()
        self._material = self._read()

    def current(self) -> TlsMaterial:
        """Returns the contents. A new version that cannot be used is logged once, and the one before it stays."""
        with self._lock:
            if (state := self._state()) != self._seen:
                self._seen = state
                try:
                    found = self._read()
                except (OSError, ValueError) as error:
                    log.warning("new TLS files cannot be used: %s", error)
                else:
                    self._material = self._material if found == self._material else found
            return self._material

    def _state(self) -> tuple[tuple[int, int, int] | None, ...]:
        return tuple(_state_of(each) for each in (self._ca, self._cert, self._key) if each is not None)

    def _read(self) -> _Material:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        try:  # gRPC would only fail to connect, and not say why
            if self._cert is not None:
                # A key with a password would ask for it on the terminal.
                context.load_cert_chain(self._cert, self._key, password=lambda: "")
            if self._ca is not None:
                context.load_verify_locations(self._ca)
        except ssl.SSLError as error:
            files = ", ".join(str(each) for each in (self._ca, self._cert, self._key) if each is not None)
            raise ValueError(f"{files}: no certificates and key in PEM that go together: {error}") from None
        return _Material(*(each.read_bytes() if each else b"" for each in (self._cert, self._key, self._ca)))


def _state_of(file: Path) -> tuple[int, int, int] | None:
    try:
        found = os.stat(file)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size
