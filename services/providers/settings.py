"""Settings: every variable of a provider there is, read once and checked.

Each belongs to one vendor, `I2V_PROVIDER_WAVESPEED_KEY` and so on, so that the providers of one machine can share an
environment. A secret may be given by a file instead, `..._KEY_FILE`.
"""

import dataclasses
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from services.providers.listen_address import is_own
from services.rpc.setting_values import BadSetting, parsed

PREFIX = "I2V_PROVIDER_"
SECRETS = ("key", "access_key", "webhook_secret")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Each field is the variable of its name in capitals, with `I2V_PROVIDER_` and the vendor in front."""

    listen: str = "127.0.0.1:50061"
    """Address of the gRPC server."""
    metrics_listen: str = "127.0.0.1:9465"
    """Address of /metrics."""
    key: str = dataclasses.field(default="", repr=False)
    """The vendor's API key. Empty: nothing can be submitted."""
    key_file: str = ""
    """File that holds it."""
    access_key: str = dataclasses.field(default="", repr=False)
    """What the orchestrator must show. Empty: anybody may call; only where nobody else can reach it."""
    access_key_file: str = ""
    """File that holds it."""
    url: str = ""
    """Of the vendor's API. Empty: its own."""
    upload_url: str = ""
    """Of its storage API, where it has one of its own. Empty: its own."""
    simulation: bool = False
    """Whether the URL is a simulator's; then that is shown to everybody."""
    output_hosts: str = ""
    """Where videos may lie, beside the vendor's own hosts: `host`, `*.domain` or an address, also with `:port`."""
    data: Path = Path("var/provider")
    """Folder where inputs lie until they are submitted."""
    connect_s: float = 10.0
    """For a connection."""
    submit_s: float = 60.0
    """Between two signs of life while a task is submitted."""
    look_s: float = 30.0
    """Likewise while the vendor is asked how it goes on."""
    look_every_s: float = 2.0
    """From one look to the next, while a task is young."""
    look_seldom_s: float = 10.0
    """Likewise when it is old."""
    longest_pause_s: float = 30.0
    """Between looks that fail."""
    watch_s: float = 1800.0
    """How long a task is watched."""
    long_watch_s: float = 28800.0
    """Likewise, of a model that may work for hours."""
    inline_bytes: int = 4_000_000
    """An input that is larger is uploaded."""
    upload_s: float = 120.0
    """Between two signs of life of an upload."""
    output_bytes: int = 500_000_000
    """A video that is larger is not fetched."""
    stall_s: float = 10.0
    """Without a byte of a video, until it is asked for again."""
    download_s: float = 1800.0
    """For a whole video."""
    breaker_failures: int = 5
    """In a row, until nothing is submitted for a while."""
    breaker_s: float = 30.0
    """For that while."""
    webhook_listen: str = ""
    """Address where webhooks arrive. Empty: there are none."""
    webhook_url: str = ""
    """The same as the vendor reaches it, http or https."""
    webhook_secret: str = dataclasses.field(default="", repr=False)
    """What they are signed with. Empty: the vendor is asked."""
    webhook_secret_file: str = ""
    """File that holds it."""
    kandinsky_image_field: str = "image"
    """WaveSpeed only: its documentation has `image` and `image_url`."""
    max_calls: int = 2000
    """Calls that are answered at a time; more are refused."""
    tls_cert_file: str = ""
    """Certificate chain, PEM. Empty: plaintext."""
    tls_key_file: str = ""
    """Its key, PEM."""
    settle_s: float = 60.0
    """How long what is being submitted may take when the process is told to stop."""
    log_level: str = "INFO"
    """DEBUG, INFO, WARNING or ERROR."""
    log_json: bool = True
    """JSON lines; otherwise plain text."""

    @classmethod
    def from_environment(cls, vendor: str, environment: Mapping[str, str] | None = None) -> "Settings":
        """Reads the settings of a vendor's process. Raises BadSetting at an unknown variable or an unusable value."""
        prefix = prefix_of(vendor)
        given = {
            name.removeprefix(prefix).lower(): value
            for name, value in (os.environ if environment is None else environment).items()
            if name.startswith(prefix)
        }
        fields = {field.name: field.type for field in dataclasses.fields(cls)}
        if unknown := sorted(set(given) - set(fields)):
            raise BadSetting(f"there is no setting {prefix}{unknown[0].upper()}")
        values = {name: parsed(prefix + name.upper(), value, fields[name]) for name, value in given.items()}
        for secret in SECRETS:
            if path := values.get(f"{secret}_file"):
                values[secret] = _secret(prefix, secret, Path(path), values)
        settings = cls(**values)
        settings._check(prefix)
        return settings

    def _check(self, prefix: str) -> None:
        for name in ("listen", "metrics_listen", "webhook_listen"):
            address = getattr(self, name)
            if not re.fullmatch(r"\S+:\d{1,5}", address) and (address or name != "webhook_listen"):
                raise BadSetting(f"{prefix}{name.upper()} is {address!r}; it is `host:port`")
        for name in ("url", "upload_url", "webhook_url"):
            parts = urlsplit(getattr(self, name))
            if getattr(self, name) and (parts.scheme not in ("http", "https") or not parts.hostname or parts.query):
                raise BadSetting(f"{prefix}{name.upper()} is no http or https URL")
        for secret in SECRETS:
            if not re.fullmatch(r"[!-~]*", getattr(self, secret)):
                raise BadSetting(f"{prefix}{secret.upper()} has characters that no key has")
        if not self.access_key and not is_own(self.listen):
            # Whoever reaches the port would spend the account's money.
            raise BadSetting(f"{prefix}ACCESS_KEY is needed: {self.listen} can be reached from elsewhere")
        if self.simulation and not self.url:
            # It would spend money and say that it does not.
            raise BadSetting(f"{prefix}SIMULATION needs {prefix}URL, the simulator's")
        if bool(self.tls_cert_file) != bool(self.tls_key_file):
            raise BadSetting(f"{prefix}TLS_CERT_FILE and {prefix}TLS_KEY_FILE go together")
        if bool(self.webhook_listen) != bool(self.webhook_url):
            raise BadSetting(f"{prefix}WEBHOOK_LISTEN and {prefix}WEBHOOK_URL go together")
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.type in (int, float) and not value > 0:
                raise BadSetting(f"{prefix}{field.name.upper()} is {value}; it is more than 0")


def prefix_of(vendor: str) -> str:
    """Returns what a vendor's variables begin with."""
    return f"{PREFIX}{vendor.upper().replace('-', '_')}_"


def _secret(prefix: str, name: str, path: Path, values: Mapping[str, Any]) -> str:
    variable = f"{prefix}{name.upper()}"
    if values.get(name):
        raise BadSetting(f"{variable} and {variable}_FILE are both given; give one of them")
    try:
        found = path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise BadSetting(f"{variable}_FILE: {path} cannot be read") from error
    if not found:
        raise BadSetting(f"{variable}_FILE: {path} is empty")
    return found
