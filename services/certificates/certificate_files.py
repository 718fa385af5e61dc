"""A certificate, its key and the authorities to trust in files, which are read again when they have changed."""

import logging
import os
import ssl
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from services.certificates import pem

log = logging.getLogger(__name__)

CA = "ca"
"""The name of authorities in metrics. That of a certificate is `server` or `client`."""


class CertificateMeter(Protocol):
    """Gets what is known of certificates, for metrics. `certificate` is `server`, `client` or `ca`."""

    def valid_until(self, certificate: str, file: str, end_s: float) -> None:
        """The certificates of a file end then, in seconds since 1970."""
        ...

    def reload_failed(self, certificate: str) -> None:
        """A new version of the files cannot be used."""
        ...


class UnusableCertificate(Exception):
    """Files that cannot be used. The message names the setting, the file and why."""

    def __init__(self, what: str, *, of_authorities: bool = False) -> None:
        super().__init__(what)
        self.of_authorities = of_authorities


@dataclass(frozen=True, slots=True)
class NamedFile:
    """A file, and the setting that names it."""

    setting: str
    path: str
    """Empty: there is none."""

    def __str__(self) -> str:
        return f"{self.setting} names {self.path}"

    def read(self, *, of_authorities: bool = False) -> bytes:
        """Returns the content; empty without a file. Raises UnusableCertificate."""
        try:
            return Path(self.path).read_bytes() if self.path else b""
        except OSError as error:
            what = f"{self}, which cannot be read: {error.strerror}"
            raise UnusableCertificate(what, of_authorities=of_authorities) from None


NO_FILE = NamedFile("", "")


@dataclass(frozen=True, slots=True)
class Material:
    """The contents of the files, PEM; empty where there is no file."""

    chain: bytes
    key: bytes
    authorities: bytes


class CertificateFiles:
    """The newest contents of the files that could be used. Threads may share it."""

    def __init__(
        self,
        kind: str,
        *,
        cert: NamedFile = NO_FILE,
        key: NamedFile = NO_FILE,
        ca: NamedFile = NO_FILE,
        meter: CertificateMeter | None = None,
    ) -> None:
        """`kind` is `server` or `client`. A certificate and its key go together. Raises UnusableCertificate."""
        self.cert, self.key, self.ca = cert, key, ca
        self._kind, self._meter = kind, meter
        self._lock = threading.Lock()
        self._seen = self._state()
        self._material = self._read()
        self._report()

    def current(self) -> Material:
        """Returns the contents, the same object while they have not changed.

        A new version that cannot be used is logged and counted once, and the one before it stays.
        """
        with self._lock:
            if (state := self._state()) != self._seen:
                self._seen = state
                self._renew()
            return self._material

    def _renew(self) -> None:
        try:
            found = self._read()
        except UnusableCertificate as error:
            log.error("a new certificate cannot be used", extra={"certificate": self._kind, "cause": str(error)})
            if self._meter is not None:
                self._meter.reload_failed(CA if error.of_authorities else self._kind)
            return
        if found != self._material:
            self._material = found
            self._report()
            log.info("a new certificate is used", extra={"certificate": self._kind, "file": self.cert.path})

    def _state(self) -> tuple[tuple[int, int, int] | None, ...]:
        return tuple(_state_of(each.path) for each in (self.cert, self.key, self.ca) if each.path)

    def _read(self) -> Material:
        found = Material(self.cert.read(), self.key.read(), self.ca.read(of_authorities=True))
        if self.cert.path:
            self._check_pair(found)
        if self.ca.path:
            self._check_authorities(found.authorities)
        return found

    def _check_pair(self, found: Material) -> None:
        try:
            pem.demand_pair(found.chain, found.key)
            end = pem.first_end(found.chain)
        except ValueError as error:
            both = f"{self.cert.setting} and {self.key.setting} name {self.cert.path} and {self.key.path}"
            raise UnusableCertificate(f"{both}, which are no certificate and its key in PEM: {error}") from None
        if pem.is_past(end):
            raise UnusableCertificate(f"{self.cert}, which expired at {end:%Y-%m-%dT%H:%M:%SZ}")

    def _check_authorities(self, authorities: bytes) -> None:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=authorities.decode())
            end = pem.last_end(authorities)
        except (OSError, ValueError) as error:
            what = f"{self.ca}, which holds no certificates in PEM: {error}"
            raise UnusableCertificate(what, of_authorities=True) from None
        if pem.is_past(end):
            what = f"{self.ca}, whose last certificate expired at {end:%Y-%m-%dT%H:%M:%SZ}"
            raise UnusableCertificate(what, of_authorities=True)

    def _report(self) -> None:
        if self._meter is None:
            return
        if self.cert.path:
            end = pem.first_end(self._material.chain)
            self._meter.valid_until(self._kind, self.cert.path, end.timestamp())
        if self.ca.path:
            end = pem.next_end(self._material.authorities)
            self._meter.valid_until(CA, self.ca.path, end.timestamp())


def _state_of(path: str) -> tuple[int, int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size
