"""The connection of a command: which key it uses, how long it retries, and which exit code an error has.

A key is never given on the command line, where every process can read it.
"""

import asyncio
import os
import ssl
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import click

from services.client import error_messages, proxy
from services.client.client import Client
from services.client.errors import I2VError, Unreachable
from services.client.exit_codes import ExitCode
from services.client.terminal import say

DEVELOPMENT_KEY = Path("var/dev-key")
"""`make run` writes it."""
RETRY_FOR_S = 3.0
"""Seconds: after a wrong address the user gets an error soon."""
RETRY_FOR_WITH_SEVERAL_S = 15.0
"""Seconds, for several replicas: one may be lost before the restarted one is connected again."""


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
    json: bool = False

    def client(self, *, user: str = "", key: str = "", retry_for_s: float | None = None) -> Client:
        """Returns a client, for another user or with another key if given. Raises NoKey, click.BadParameter."""
        if self.ca_file is not None:
            try:
                ssl.create_default_context(cafile=self.ca_file)
            except ssl.SSLError as error:  # gRPC would only fail to connect, and not say why
                holds = f"{self.ca_file} holds no certificates in PEM; TLS needs those of the authorities to trust"
                raise click.BadParameter(holds, param_hint="--ca-file") from error
        try:
            key, user = key or self.key(), user or self.user
            retry_for_s = self.retry_for_s if retry_for_s is None else retry_for_s
            return Client(self.server, key, user, tls=self.ca_file or self.tls, retry_for_s=retry_for_s)
        except ValueError as error:
            raise NoKey(f"That cannot be a key: {error}.") from error

    @property
    def retry_for_s(self) -> float:
        """Seconds that the command waits for a server that does not answer."""
        return RETRY_FOR_WITH_SEVERAL_S if "," in self.server else RETRY_FOR_S

    def key(self) -> str:
        """Returns the key: the file that was named, else I2V_KEY, else the development key."""
        if self.key_file is None and (key := os.environ.get("I2V_KEY", "").strip()):
            return key
        file = self.key_file or DEVELOPMENT_KEY
        if self.key_file is None and not file.is_file():
            usual = f"`make run` writes one to {DEVELOPMENT_KEY}; run this command in the folder that holds var."
            raise NoKey(f"There is no API key. Set I2V_KEY, or name its file with --key-file. {usual}")
        if key := file.read_bytes().decode(errors="replace").strip():
            return key
        raise NoKey(f"The key is empty: {file} has no content. Name another file with --key-file.")

    def run(self, work: Callable[[Client], Awaitable[ExitCode | None]]) -> None:
        """Does the work and ends the process with its exit code; prints errors without a traceback."""

        async def connected() -> ExitCode | None:
            async with self.client() as client:
                return await work(client)

        try:
            code = asyncio.run(connected()) or ExitCode.OK
        except I2VError as error:
            say(*([error_messages.as_json(error)] if self.json else error_messages.lines(error, self.server)), err=True)
            lost = isinstance(error, Unreachable) and not error.reason  # a reason is the server's own
            if lost and not self.json and (through := proxy.named_for(self.server)):
                say(f"The call went through the proxy {through}; no_proxy excludes a server from it.", err=True)
            code = ExitCode.of(error)
        except BrokenPipeError:
            raise  # `i2v jobs | head`: click handles it.
        except OSError as error:
            why = error.strerror or str(error)
            say(f"{error.filename}: {why}" if error.filename else why, err=True)
            code = ExitCode.USAGE
        except KeyboardInterrupt:
            say("Interrupted.", err=True)
            code = ExitCode.INTERRUPTED
        sys.exit(code)
