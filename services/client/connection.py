"""The connection of a command: which key it uses, how long it retries, and which exit code an error has.

A key is never given on the command line, where every process can read it.
"""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import click
from click.core import ParameterSource

from i2v_client import AsyncClient, proxy
from i2v_client.errors import I2VError, Unreachable
from services.certificates.certificate_files import CertificateFiles, NamedFile, UnusableCertificate
from services.client import error_messages
from services.client.exit_codes import ExitCode
from services.client.profiles.choice import Choice
from services.client.terminal import say

DEVELOPMENT_KEY = Path("var/dev-key")
"""`make run` writes it."""
RETRY_FOR_S = 3.0
"""Seconds: after a wrong address the user gets an error soon."""
RETRY_FOR_WITH_SEVERAL_S = 15.0
"""Seconds, for several replicas: one may be lost before the restarted one is connected again."""


CLOSED = "Socket closed"
"""gRPC's message for a connection that the server has closed."""
UNKNOWN_CERTIFICATE = (
    "A server that demands a certificate closes the connection of a client without one that it trusts: see --cert-file."
)


class NoKey(click.ClickException):
    """There is no API key."""

    exit_code = ExitCode.UNKNOWN


@dataclass
class Connection:
    """The server and the caller, from the options before the command."""

    server: str
    user: str
    key_file: Path | None
    tls: bool
    ca_file: Path | None
    cert_file: Path | None
    cert_key_file: Path | None
    profile: Choice = field(default_factory=Choice)
    key_file_of_profile: bool = False
    """Whether the profile names the key's file, and not the person who typed the command."""
    json: bool = False

    def client(self, *, user: str = "", key: str = "", retry_for_s: float | None = None) -> AsyncClient:
        """Returns a client, for another user or with another key if given. Raises NoKey, click.UsageError."""
        tls = self._certificates() or self.tls
        try:
            key, user = key or self.key(), user or self.user
            retry_for_s = self.retry_for_s if retry_for_s is None else retry_for_s
            return AsyncClient(self.server, key, user, tls=tls, retry_for_s=retry_for_s)
        except ValueError as error:
            raise NoKey(f"That cannot be a key: {error}.") from error

    def _certificates(self) -> CertificateFiles | None:
        """Reads the authorities to trust and the certificate to show; None: neither is given. Raises UsageError."""
        if (self.cert_file is None) != (self.cert_key_file is None):
            raise click.UsageError("--cert-file and --cert-key-file go together.")
        if self.ca_file is None and self.cert_file is None:
            return None
        cert, key, ca = (str(each or "") for each in (self.cert_file, self.cert_key_file, self.ca_file))
        try:  # gRPC would only fail to connect, and not say why
            return CertificateFiles(
                "client",
                cert=NamedFile("--cert-file", cert),
                key=NamedFile("--cert-key-file", key),
                ca=NamedFile("--ca-file", ca),
            )
        except UnusableCertificate as error:
            raise click.UsageError(f"{error}.") from error

    @property
    def retry_for_s(self) -> float:
        """Seconds that the command waits for a server that does not answer."""
        return RETRY_FOR_WITH_SEVERAL_S if "," in self.server else RETRY_FOR_S

    def key(self) -> str:
        """Returns the key: the file that was named, else I2V_KEY, else the profile's, else the development key.

        The key of a profile goes only to a server of the profile. Raises NoKey.
        """
        named = None if self.key_file_of_profile else self.key_file
        if named is None and (key := os.environ.get("I2V_KEY", "").strip()):
            return key
        profile, trusted = self.profile.profile, self.profile.profile.trusts(self.server)
        if named is None and trusted and profile.key:
            return profile.key
        file = named or (trusted and self.key_file) or DEVELOPMENT_KEY
        if file == DEVELOPMENT_KEY and not file.is_file():
            usual = f"`make run` writes one to {DEVELOPMENT_KEY}; run this command in the folder that holds var."
            withheld = f" The key of the profile {self.profile.name} goes only to its own server."
            other = withheld if not trusted and (profile.key or profile.key_file) else ""
            ways = "Set I2V_KEY, name its file with --key-file, or store one with `i2v login`."
            raise NoKey(f"There is no API key. {ways} {usual}{other}")
        if key := file.read_bytes().decode(errors="replace").strip():
            return key
        raise NoKey(f"The key is empty: {file} has no content. Name another file with --key-file.")

    def run(self, work: Callable[[AsyncClient], Awaitable[ExitCode | None]], *, key: str = "") -> None:
        """Does the work and ends the process with its exit code; prints errors without a traceback."""

        async def connected() -> ExitCode | None:
            async with self.client(key=key) as client:
                return await work(client)

        try:
            code = asyncio.run(connected()) or ExitCode.OK
        except I2VError as error:
            say(*([error_messages.as_json(error)] if self.json else error_messages.lines(error, self.server)), err=True)
            lost = isinstance(error, Unreachable) and not error.reason  # a reason is the server's own
            if lost and not self.json and (through := proxy.named_for(self.server)):
                say(f"The call went through the proxy {through}; no_proxy excludes a server from it.", err=True)
            if lost and not self.json and (self.tls or self.ca_file or self.cert_file) and CLOSED in error.message:
                say(UNKNOWN_CERTIFICATE, err=True)
            code = ExitCode.of(error)
        except BrokenPipeError:
            raise  # `i2v jobs | head`: click handles it.
        except OSError as error:
            why = error.strerror or str(error)
            code = ExitCode.USAGE
            self.say_error(code, f"{error.filename}: {why}" if error.filename else why)
        except KeyboardInterrupt:
            code = ExitCode.INTERRUPTED
            self.say_error(code, "Interrupted.")
        sys.exit(code)

    def say_error(self, code: ExitCode, message: str) -> None:
        """Writes an error of the command itself to stderr."""
        say(error_messages.own_as_json(code, message) if self.json else message, err=True)


def connection_of(context: click.Context) -> Connection:
    """Returns the connection that the options before the command describe."""
    options = dict(context.find_root().params)
    choice: Choice = options.pop("profile") or Choice()
    own_file = context.find_root().get_parameter_source("key_file") is ParameterSource.DEFAULT_MAP
    return Connection(**options, profile=choice, key_file_of_profile=own_file)
