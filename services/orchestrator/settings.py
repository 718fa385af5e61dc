"""Settings: every I2V_* environment variable there is, read once and checked, and the two files of the catalog."""

import dataclasses
import os
import re
import socket
import ssl
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from services.orchestrator.domain.card import ENGINE
from services.orchestrator.domain.catalog import Catalog, demand_successors
from services.orchestrator.domain.quota import Plan, plans_from_toml
from services.orchestrator.ports.backend import Limits
from services.rpc.setting_values import BadSetting, parsed

T = TypeVar("T")

PREFIX = "I2V_"
VENDOR_SLOTS = 1000
"""Jobs of one provider that a worker runs at a time where no limit is set: they mostly wait."""
LIMITS_OF_CALLS = """
max_calls max_uploads max_downloads max_lists tenant_calls tenant_watches tenant_uploads tenant_downloads tenant_lists
open_calls connection_calls first_message_s next_message_s taking_s
"""
NEIGHBOUR = re.compile(r"I2V_PROVIDER_[A-Z0-9]+_[A-Z0-9_]+|I2V_PROMPT_[A-Z0-9_]+")
"""Variables of a provider's process, by its vendor, and of the prompt writer's, which may stand there too."""
CLIENT = {"I2V_KEY", "I2V_KEY_FILE", "I2V_SERVER", "I2V_SERVER_TLS", "I2V_SERVER_CA_FILE", "I2V_USER"}
"""The client's own variables, which may stand in the same environment."""
KUBERNETES = re.compile(r"I2V(_\w+)?_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP)(_\w+)?)?)|I2V_PORT")
"""What Kubernetes puts there by itself for a Service called i2v or i2v-something."""


PROVIDER = re.compile(r"[a-z][a-z0-9-]{0,62}")
LIMITS = re.compile(r"([1-9][0-9]{0,4})/([1-9][0-9]{0,5})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Each field is the variable of its name in capitals, with I2V_ in front."""

    data: Path = Path("var")
    """Where everything embedded is kept: PostgreSQL, local blobs, spooled uploads."""
    database_url: str = ""
    """`postgresql://…`. Empty: an embedded PostgreSQL under `data`."""
    database_patience_s: float = 60.0
    """Seconds that a start waits for a PostgreSQL that is unreachable, starting or recovering. 0: not at all."""
    listen: str = "127.0.0.1:50051"
    """Address of the gRPC API."""
    metrics_listen: str = "127.0.0.1:9464"
    """Address of /metrics."""
    blobs: str = "local"
    """`local` (under `data`) or `s3`."""
    s3_endpoint: str = ""
    """`host:port` of an S3-compatible store."""
    s3_access_key: str = dataclasses.field(default="", repr=False)
    """Access key."""
    s3_secret_key: str = dataclasses.field(default="", repr=False)
    """Secret key."""
    s3_bucket: str = "i2v"
    """Bucket; it is made when it is not there."""
    s3_region: str = "us-east-1"
    """Region."""
    s3_secure: bool = True
    """TLS towards the store."""
    disk_free_bytes: int = 1_000_000_000
    """Bytes to keep free on the disks of the spool and local blobs: with less no job or upload is accepted."""
    disk_free_share: float = 0.05
    """The same as a share of the disk, 0 to 1; the smaller of the two counts."""
    triton: str = "127.0.0.1:8001"
    """gRPC address of the Triton server, or `name=host:port,…`, by the backends that cards name. Empty: none."""
    triton_slots: str = "1"
    """Jobs that each worker runs on a Triton at a time, or `name=number,…`; the worker that starts last decides."""
    providers: str = ""
    """Processes that speak with a vendor each, `name=host:port,…`, by the backends that cards name."""
    provider_limits: str = ""
    """What the vendors' accounts allow, `name=jobs at a time/jobs a minute,…`, over all workers."""
    provider_key_file: str = ""
    """File with the credential that providers know the orchestrator by. Empty: they ask for none."""
    provider_ca_file: str = ""
    """Authorities of the certificates of providers and the prompt writer, PEM. Empty: plaintext."""
    prompt_writer: str = ""
    """Process that writes prompts from scenes, `host:port`. Empty: such jobs are refused."""
    prompt_most_micros: int = 20_000
    """What the writing of a prompt may cost; set aside with the price of a job that needs one."""
    operator_key_file: str = ""
    """File with the operators' credential, for `i2v admin`. Empty: nobody is an operator."""
    refund_window_s: float = 10_800.0
    """A task that its vendor does not find is given up after the refund window that the vendor promises, and after so
    long at the earliest."""
    find_s: float = 60.0
    """How often a vendor is asked for a task whose answer was lost."""
    fake_slots: int = 0
    """Jobs that each worker runs on the fake backend at a time, likewise. 0: it has none."""
    fake_pause_s: float = 0.0
    """How long the fake backend rests after each fragment, as if it worked."""
    silent_s: float = 30.0
    """A worker that has not been heard of for so long has died, and the others take its jobs over."""
    worker_name: str = ""
    """Stable name of this worker; what it left behind is found by it. Default: the host's name."""
    models_file: Path = Path("deploy/config/models.toml")
    """The catalog."""
    remote_models: Path = Path("deploy/config/remote")
    """Folder with the cards of remote models; those of the providers that are named are in the catalog."""
    plans_file: Path = Path("deploy/config/plans.toml")
    """The plans."""
    dev_key_file: str = ""
    """For development: a tenant `development` is made, and a key for it, which is kept in this file."""
    max_calls: int = 2000
    """Calls with a key, including watches, that this process answers at a time; more are refused."""
    max_uploads: int = 128
    """Uploads of all tenants at a time."""
    max_downloads: int = 256
    """Downloads of all tenants at a time."""
    max_lists: int = 128
    """Lists of jobs of all tenants at a time, until their callers have taken them."""
    tenant_calls: int = 1200
    """Calls of one tenant at a time; at most three quarters of `max_calls`."""
    tenant_watches: int = 1100
    """Watches of one tenant at a time."""
    tenant_uploads: int = 32
    """Uploads of one tenant at a time."""
    tenant_downloads: int = 64
    """Downloads of one tenant at a time."""
    tenant_lists: int = 32
    """Lists of jobs of one tenant at a time, until their callers have taken them."""
    open_calls: int = 4000
    """Calls without a key, of health and reflection, that are kept open; a newer one ends the oldest of the host that
    has most."""
    connection_calls: int = 1250
    """Calls of one connection at a time; a client holds further calls back."""
    first_message_s: float = 10.0
    """Seconds that a call may take to send its first message."""
    next_message_s: float = 60.0
    """Seconds that an upload or another stream of requests may pause."""
    taking_s: float = 60.0
    """Seconds that the reader of a download or a watch may take nothing from the stream."""
    reflection: bool = True
    """gRPC reflection. Switch it off for untrusted networks."""
    tls_cert_file: str = ""
    """Certificate chain of the API, PEM. Empty: plaintext."""
    tls_key_file: str = ""
    """Key of the certificate, PEM."""
    drain_s: float = 5.0
    """How long running RPCs may go on when the process is told to stop."""
    drain_delay_s: float = 0.0
    """How long it says NOT_SERVING before that, so that load balancers notice. In Kubernetes: 5."""
    log_level: str = "INFO"
    """DEBUG, INFO, WARNING or ERROR."""
    log_json: bool = True
    """JSON lines; otherwise plain text."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> "Settings":
        """Reads the settings. Raises BadSetting at an unknown I2V_ variable or a value that cannot be used."""
        fields = {field.name: field.type for field in dataclasses.fields(cls)}
        own = {PREFIX + name.upper() for name in fields}
        given = {
            name.removeprefix(PREFIX).lower(): value
            for name, value in (os.environ if environment is None else environment).items()
            if name.startswith(PREFIX) and (name in own or not _somebody_elses(name))
        }
        if unknown := sorted(set(given) - set(fields)):
            raise BadSetting(f"there is no setting {PREFIX}{unknown[0].upper()}")
        settings = cls(**{name: parsed(PREFIX + name.upper(), value, fields[name]) for name, value in given.items()})
        settings._check()
        return settings

    def _check(self) -> None:
        if self.blobs not in ("local", "s3"):
            raise BadSetting(f"I2V_BLOBS is {self.blobs!r}; it is `local` or `s3`")
        if self.blobs == "s3" and not (self.s3_endpoint and self.s3_access_key and self.s3_secret_key):
            raise BadSetting("I2V_BLOBS=s3 needs I2V_S3_ENDPOINT, I2V_S3_ACCESS_KEY and I2V_S3_SECRET_KEY")
        if bool(self.tls_cert_file) != bool(self.tls_key_file):
            raise BadSetting("I2V_TLS_CERT_FILE and I2V_TLS_KEY_FILE go together")
        for name, address in (("LISTEN", self.listen), ("METRICS_LISTEN", self.metrics_listen)):
            if not re.fullmatch(r"\S+:\d{1,5}", address):
                raise BadSetting(f"{PREFIX}{name} is {address!r}; it is `host:port`")
        if self.disk_free_bytes < 0 or not 0 <= self.disk_free_share <= 1:
            raise BadSetting("I2V_DISK_FREE_BYTES is 0 or more, I2V_DISK_FREE_SHARE 0 to 1")
        if not 0 <= self.database_patience_s <= 3600:
            raise BadSetting("I2V_DATABASE_PATIENCE_S is 0 to 3600")
        if self.fake_slots < 0:
            raise BadSetting("I2V_FAKE_SLOTS is 0 or more")
        for name in LIMITS_OF_CALLS.split():
            if getattr(self, name) <= 0:
                raise BadSetting(f"{PREFIX}{name.upper()} is {getattr(self, name)}; it is more than 0")
        if self.prompt_writer and not _is_address(self.prompt_writer):
            raise BadSetting(f"I2V_PROMPT_WRITER is {self.prompt_writer!r}; it is `host:port`")
        if not 0 <= self.prompt_most_micros <= 1_000_000_000:
            raise BadSetting("I2V_PROMPT_MOST_MICROS is 0 to 1000000000")
        if self.refund_window_s < 0 or self.find_s <= 0:
            raise BadSetting("I2V_REFUND_WINDOW_S is 0 or more, I2V_FIND_S more than 0")
        self.provider_authorities()
        self.tritons()
        self.vendors()

    def tritons(self) -> dict[str, tuple[str, int]]:
        """Returns address and slots of each Triton server, by the name of its backend. Raises BadSetting."""
        addresses = _by_name("I2V_TRITON", self.triton, _is_address, "host:port")
        slots = _by_name("I2V_TRITON_SLOTS", self.triton_slots, re.compile(r"[0-9]{1,4}").fullmatch, "number")
        if not addresses:
            return {}
        if "" in addresses:
            addresses = {"triton": addresses[""]}
        if unknown := set(slots) - set(addresses) - {""}:
            raise BadSetting(f"I2V_TRITON_SLOTS names {min(unknown)!r}, which I2V_TRITON does not")
        return {name: (address, int(slots.get(name, slots.get("", "1")))) for name, address in addresses.items()}

    def vendors(self) -> dict[str, tuple[str, Limits]]:
        """Returns address and limits of each provider, by the name of its backend. Raises BadSetting."""
        addresses = _providers("I2V_PROVIDERS", self.providers, _is_address, "host:port")
        limits = _providers("I2V_PROVIDER_LIMITS", self.provider_limits, LIMITS.fullmatch, "3/5")
        if unknown := set(limits) - set(addresses):
            raise BadSetting(f"I2V_PROVIDER_LIMITS names {min(unknown)!r}, which I2V_PROVIDERS does not")
        return {name: (address, _limits(limits.get(name, ""))) for name, address in addresses.items()}

    def provider_key(self) -> str:
        """Reads the credential for providers. Raises BadSetting."""
        return _secret("I2V_PROVIDER_KEY_FILE", self.provider_key_file)

    def provider_authorities(self) -> bytes:
        """Reads the authorities that providers are held against; empty: plaintext. Raises BadSetting."""
        if not self.provider_ca_file:
            return b""
        try:
            pem = Path(self.provider_ca_file).read_text()
            # gRPC would only fail to connect, and not say why.
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=pem)
        except (OSError, ValueError) as error:
            wrong = f"I2V_PROVIDER_CA_FILE names {self.provider_ca_file}, which holds no certificates in PEM"
            raise BadSetting(f"{wrong}: {error}") from error
        return pem.encode()

    def operator_key(self) -> str:
        """Reads the operators' credential. Raises BadSetting."""
        return _secret("I2V_OPERATOR_KEY_FILE", self.operator_key_file)

    @property
    def worker(self) -> str:
        """The worker's stable name."""
        return self.worker_name or socket.gethostname()

    def catalog(self) -> Catalog:
        """Reads the model cards. Raises BadSetting."""
        allowance = self.prompt_most_micros if self.prompt_writer else None
        catalog, vendors = _built(self.models_file, Catalog.from_toml), self.vendors()
        cards, every = dict(catalog.cards), dict(catalog.cards)
        for file in sorted(self.remote_models.glob("*.toml")) if vendors else ():
            found = _built(file, Catalog.from_toml)
            if twice := sorted(set(cards) & set(found.cards)):
                raise BadSetting(f"{file} cannot be used: there is a card {twice[0]!r} already")
            cards |= {card.id: card for card in found if card.backend in vendors}
            every |= found.cards
        try:
            demand_successors(every)
        except ValueError as error:
            raise BadSetting(f"the cards cannot be used: {error}") from error
        return Catalog(cards, allowance)

    def plans(self) -> dict[str, Plan]:
        """Reads the plans. Raises BadSetting."""
        return _built(self.plans_file, plans_from_toml)


def _somebody_elses(name: str) -> bool:
    known = name in CLIENT or name.startswith("I2V_TEST_")
    return known or any(form.fullmatch(name) for form in (NEIGHBOUR, KUBERNETES))


def _is_address(text: str) -> bool:
    """Whether it is `host:port`, or `[host]:port` for an IPv6 address; a URL is not."""
    found = re.fullmatch(r"([^\s=,:/\[\]]+|\[[0-9A-Fa-f:.]+\]):([0-9]{1,5})", text)
    return found is not None and 1 <= int(found[2]) <= 65535


def _providers(variable: str, text: str, good: Callable[[str], object], word: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in filter(None, text.split(",")):
        name, _, value = part.strip().partition("=")
        if not PROVIDER.fullmatch(name) or ENGINE.fullmatch(name) or name in found or not good(value):
            raise BadSetting(f"{variable} is {text!r}; it is `name={word},name={word}`, each name once")
        found[name] = value
    return found


def _limits(text: str) -> Limits:
    found = LIMITS.fullmatch(text)
    return Limits(int(found[1]), int(found[1]), int(found[2])) if found else Limits(VENDOR_SLOTS)


def _secret(variable: str, file: str) -> str:
    """Reads a credential's file; an empty name is none."""
    if not file:
        return ""
    try:
        secret = Path(file).read_text().strip()
    except OSError as error:
        raise BadSetting(f"{variable} names {file}, which cannot be read: {error.strerror}") from error
    if not re.fullmatch(r"[!-~]+", secret):
        raise BadSetting(f"{variable} names {file}, which holds no credential: printable ASCII without spaces")
    return secret


def _by_name(variable: str, text: str, good: Callable[[str], object], word: str) -> dict[str, str]:
    """Reads `value`, which comes under the empty name, or `name=value,name=value`."""
    wrong = f"{variable} is {text!r}; it is `{word}`, or `triton-…={word},triton-…={word}`"
    found: dict[str, str] = {}
    for part in filter(None, text.split(",")) if "=" in text else filter(None, [text]):
        name, named, value = part.strip().rpartition("=")
        if not good(value) or (named and not ENGINE.fullmatch(name)):
            raise BadSetting(wrong)
        if named and name in found:
            raise BadSetting(f"{wrong}; the name {name!r} comes twice")
        found[name] = value
    if "" in found and len(found) > 1:
        raise BadSetting(wrong)
    return found


def _built(path: Path, build: Callable[[dict[str, Any]], T]) -> T:
    try:
        return build(tomllib.loads(path.read_text()))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise BadSetting(f"{path} cannot be read: {error}") from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        what = f"lacks {error}" if isinstance(error, KeyError) else str(error)
        raise BadSetting(f"{path} cannot be used: {what}") from error
